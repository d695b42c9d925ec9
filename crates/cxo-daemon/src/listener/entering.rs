//! Places of connections that did not prove themselves yet.
//!
//! There are so many of them. Who comes gets one all the same, in the place of who has had one for
//! longest: who holds a key needs milliseconds, so that one says nothing. Refusing who comes instead
//! would let a few silent clients keep the user out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The places of one listener.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    at_most: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Who came so far.
    came: u64,
    /// Who has a place, in the order in which they came, and by which they hear that it is taken.
    by_arrival: BTreeMap<u64, watch::Sender<bool>>,
}

/// A place, until this is dropped or it is taken away.
#[derive(Debug)]
pub(crate) struct Place {
    arrival: u64,
    places: Places,
    is_taken: watch::Receiver<bool>,
}

/// By which is heard that a place is taken away. A place that is given back is not.
#[derive(Debug, Clone)]
pub(crate) struct Loss(watch::Receiver<bool>);

impl Places {
    /// So many.
    pub(crate) fn new(at_most: usize) -> Self {
        Self { at_most, held: Arc::default() }
    }

    /// Takes one; if all are taken, the one that was taken first of them.
    pub(crate) fn take(&self) -> Place {
        let (tell, is_taken) = watch::channel(false);
        let mut held = self.held();
        let arrival = held.came;
        held.came += 1;
        while held.by_arrival.len() >= self.at_most
            && let Some((_, first)) = held.by_arrival.pop_first()
        {
            first.send_replace(true);
        }
        held.by_arrival.insert(arrival, tell);
        drop(held);
        Place { arrival, places: self.clone(), is_taken }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// By which it is heard that this one is taken away.
    pub(crate) fn loss(&self) -> Loss {
        Loss(self.is_taken.clone())
    }
}

impl Loss {
    /// Waits until the place is taken away; for ever, of one that is given back.
    pub(crate) async fn comes(mut self) {
        if self.0.wait_for(|is_taken| *is_taken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.held().by_arrival.remove(&self.arrival);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_lost(loss: &Loss) -> bool {
        pin!(loss.clone().comes()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// [G25] Who comes always gets a place: of those who wait the first loses theirs, and nobody
    /// where one was given back.
    #[test]
    fn who_waits_longest_makes_room() {
        let places = Places::new(2);
        let (first, second) = (places.take(), places.take());
        assert!(!is_lost(&first.loss()) && !is_lost(&second.loss()));
        let third = places.take();
        assert!(is_lost(&first.loss()) && !is_lost(&second.loss()) && !is_lost(&third.loss()));
        let given_back = third.loss();
        drop((first, third));
        assert!(!is_lost(&given_back), "nobody took it");
        let fourth = places.take();
        assert!(!is_lost(&second.loss()) && !is_lost(&fourth.loss()));
        let fifth = places.take();
        assert!(is_lost(&second.loss()) && !is_lost(&fourth.loss()) && !is_lost(&fifth.loss()));
        drop((second, fourth, fifth));
        assert!(places.held().by_arrival.is_empty());
    }
}
