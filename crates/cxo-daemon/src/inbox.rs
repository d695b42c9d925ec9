//! The way to the run loop: what clients ask and executors report, bounded, in order. It knows
//! nothing of what becomes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use cxo_core::{Command, Repo};
use cxo_protocol::params::AgentsOnStop;
use cxo_protocol::{Code, Principal, Problem, RunId};
use serde_json::Value;
use tokio::sync::oneshot;

/// Where an answer goes: the position of the log after the commit, or why there was none.
pub(crate) type Answer = oneshot::Sender<Result<u64, Problem>>;

/// A client that waits for what becomes of its command.
pub(crate) struct Client {
    /// Where its answer goes, after the commit.
    pub(crate) answer: oneshot::Sender<Result<Value, Problem>>,
    /// Makes the answer from the state that the command led to.
    pub(crate) reply: Box<dyn FnOnce(&Repo) -> Value + Send>,
    /// Under which the answer is kept, in the same transaction.
    pub(crate) remember: Option<Remember>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("remember", &self.remember).finish_non_exhaustive()
    }
}

/// What an answer is kept under, so that the same request is never carried out twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Remember {
    /// Who called.
    pub(crate) principal: String,
    /// The method.
    pub(crate) method: &'static str,
    /// The key that the caller chose.
    pub(crate) idem_key: String,
    /// The digest of the parameters.
    pub(crate) body_hash: String,
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Message {
    /// A command, and who waits for its answer.
    Command {
        /// What is to be decided.
        command: Command,
        /// Who waits.
        client: Option<Box<Client>>,
    },
    /// A run is to be held in memory again, for a query or a command.
    Hold {
        /// The run.
        run: RunId,
        /// Who waits for it.
        answer: Answer,
    },
    /// A client went: whether the daemon is idle may have changed.
    Look,
    /// Leave; what becomes of agents is for whoever runs the loop.
    Stop(AgentsOnStop),
}

/// A way to the run loop, for everybody.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    queue: SyncSender<Message>,
    waiting: Arc<AtomicUsize>,
    capacity: usize,
}

/// What comes out of the inbox.
#[derive(Debug)]
pub(crate) struct Messages {
    queue: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Message {
    /// How much it counts among the requests that wait: a look is none.
    fn weight(&self) -> usize {
        match self {
            Self::Command { .. } | Self::Hold { .. } | Self::Stop(_) => 1,
            Self::Look => 0,
        }
    }
}

impl Messages {
    /// What waits, if anything does.
    pub(crate) fn try_recv(&self) -> Option<Message> {
        self.queue.try_recv().ok().map(|message| self.taken(message))
    }

    /// The next message; `None` when nobody can send any more.
    pub(crate) fn recv(&self) -> Option<Message> {
        self.queue.recv().ok().map(|message| self.taken(message))
    }

    /// The next message within a time.
    pub(crate) fn recv_timeout(&self, wait: Duration) -> Result<Message, RecvTimeoutError> {
        self.queue.recv_timeout(wait).map(|message| self.taken(message))
    }

    fn taken(&self, message: Message) -> Message {
        self.waiting.fetch_sub(message.weight(), Ordering::Relaxed);
        message
    }
}

impl Inbox {
    /// An inbox in which so many requests may wait, and what comes out of it.
    pub(crate) fn new(capacity: usize) -> (Self, Messages) {
        let (queue, messages) = std::sync::mpsc::sync_channel(capacity);
        let waiting = Arc::new(AtomicUsize::new(0));
        let inbox = Self { queue, waiting: waiting.clone(), capacity };
        (inbox, Messages { queue: messages, waiting })
    }

    /// Requests that may wait. More than that is refused at once, with when to come again.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Puts the user's message in, or says that too many wait.
    pub(crate) fn offer(&self, message: Message) -> Result<(), Problem> {
        self.offer_for(&Principal::User, message)
    }

    /// Puts a caller's message in, or says that too many wait. The last places are the user's.
    pub(crate) fn offer_for(&self, who: &Principal, message: Message) -> Result<(), Problem> {
        let place = match message.weight() {
            0 => None,
            _ => Some(self.reserve_for(who)?),
        };
        self.queue.try_send(message).map_err(|error| self.refused(&error))?;
        if let Some(place) = place {
            place.fill();
        }
        Ok(())
    }

    /// Keeps a place for a message that a caller has when something is done that cannot be undone, or
    /// says that too many wait before it is begun.
    pub(crate) fn reserve_for(&self, who: &Principal) -> Result<Place, Problem> {
        let kept_for_user = if who.is_users() { 0 } else { self.capacity / 4 };
        let room = self.capacity - kept_for_user;
        let more = |waiting| (waiting < room).then_some(waiting + 1);
        // Counted first: a message may be taken out before its sender goes on.
        let counted = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        match counted {
            Ok(_) => Ok(Place { inbox: self.clone(), is_kept: true }),
            Err(_) => Err(self.full()),
        }
    }

    /// Puts a report in. It must not get lost, so it waits for its place.
    pub(crate) fn report(&self, command: Command) {
        self.wait_in(Message::Command { command, client: None });
    }

    /// Has the daemon leave, after what waits before this.
    pub(crate) fn stop(&self) {
        self.wait_in(Message::Stop(AgentsOnStop::GoOn));
    }

    fn wait_in(&self, message: Message) {
        let weight = message.weight();
        self.waiting.fetch_add(weight, Ordering::Relaxed);
        if self.queue.send(message).is_err() {
            self.waiting.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    fn refused(&self, error: &TrySendError<Message>) -> Problem {
        match error {
            TrySendError::Full(_) => self.full(),
            TrySendError::Disconnected(_) => {
                leaving().keeping("nothing was changed").try_next("cxo daemon start")
            }
        }
    }

    fn full(&self) -> Problem {
        Problem::new(Code::Busy, "too many requests wait")
            .because(format!("the queue takes {}", self.capacity))
            .keeping("nothing was changed")
            .retry_after(1)
            .try_next("try again in a second")
    }
}

/// A place among the requests that wait, of a message that is still to come. It is free again when
/// this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    inbox: Inbox,
    is_kept: bool,
}

impl Place {
    /// Puts the message in. Reports of executors may have taken the room meanwhile: then it waits
    /// for its turn, as they do.
    pub(crate) async fn put(self, message: Message) -> Result<(), Problem> {
        let done = || leaving().keeping("what was done; the log does not tell of it");
        match self.inbox.queue.try_send(message) {
            Ok(()) => {
                self.fill();
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(done()),
            Err(TrySendError::Full(message)) => {
                let sending = tokio::task::spawn_blocking(move || {
                    let is_sent = self.inbox.queue.send(message).is_ok();
                    if is_sent {
                        self.fill();
                    }
                    is_sent
                });
                if sending.await.unwrap_or(false) { Ok(()) } else { Err(done()) }
            }
        }
    }

    /// The message is in: whoever takes it out counts it off.
    fn fill(mut self) {
        self.is_kept = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_kept {
            self.inbox.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn leaving() -> Problem {
    Problem::new(Code::NoDaemon, "the daemon is leaving")
}

#[cfg(test)]
mod tests;
