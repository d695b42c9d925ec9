//! Threads that carry effects out: one for each that goes on, kept for the next when it ended. It
//! must not know what an effect is.

use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of stack for an executor: it calls git and waits.
const STACK_BYTES: usize = 512 * 1024;

/// Threads that are kept with nothing to do. A run hands over from one effect to the next: a few
/// are as good as many, and each costs memory.
const MAX_IDLE: usize = 8;

/// What a thread is to do.
type Job = Box<dyn FnOnce() + Send>;

/// Threads with something to do, and some that wait for it.
#[derive(Default)]
pub(super) struct Hands {
    idle: Mutex<Vec<Sender<Job>>>,
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("idle", &self.idle().len()).finish()
    }
}

impl Hands {
    /// Does it at once: on a thread that waits, or on a new one.
    pub(super) fn take(self: &Arc<Self>, job: Job) -> std::io::Result<()> {
        let waiting = self.idle().pop();
        let unsent = match waiting {
            Some(hand) => hand.send(job),
            None => Err(SendError(job)),
        };
        let Err(SendError(job)) = unsent else { return Ok(()) };
        let this = self.clone();
        std::thread::Builder::new()
            .name("effect".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || this.work(job))
            .map(drop)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, first: Job) {
        let (hand, jobs) = channel();
        let mut next = Ok(first);
        while let Ok(job) = next {
            job();
            {
                let mut idle = self.idle();
                if idle.len() >= MAX_IDLE {
                    return;
                }
                idle.push(hand.clone());
            }
            next = jobs.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// [G25] What goes on at the same time has a thread for each, however many; a few of them are
    /// kept, and no more.
    #[test]
    fn each_has_a_thread_of_its_own_and_a_few_are_kept() {
        let hands = Arc::new(Hands::default());
        for _ in 0..2 {
            // Nobody passes before all have begun.
            let all = Arc::new(Barrier::new(MAX_IDLE + 4));
            let (ended, ends) = channel();
            for _ in 1..MAX_IDLE + 4 {
                let (all, ended) = (all.clone(), ended.clone());
                let job = move || {
                    all.wait();
                    let _ = ended.send(());
                };
                hands.take(Box::new(job)).unwrap();
            }
            all.wait();
            drop(ended);
            assert_eq!(ends.iter().count(), MAX_IDLE + 3);
        }
        assert!(hands.idle().len() <= MAX_IDLE);
    }
}
