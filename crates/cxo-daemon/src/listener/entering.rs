//! Places of connections that did not prove themselves yet.
//!
//! There are so many of them. Who comes gets one all the same, in the place of who has had one for
//! longest: who holds a key needs milliseconds, so that one says nothing. Refusing who comes instead
//! would let a few silent clients keep the user out.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The places of one listener.
#[derive(Debug, Clone)]
pub(super) struct Places {
    at_most: usize,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Who came so far.
    came: u64,
    /// Who has a place, in the order in which they came. Dropping one of these sends it away.
    by_arrival: BTreeMap<u64, oneshot::Sender<Infallible>>,
}

/// A place, until this is dropped or it is taken away.
#[derive(Debug)]
pub(super) struct Place {
    arrival: u64,
    places: Places,
    kept: oneshot::Receiver<Infallible>,
}

impl Places {
    /// So many.
    pub(super) fn new(at_most: usize) -> Self {
        Self { at_most, held: Arc::default() }
    }

    /// Takes one; if all are taken, the one that was taken first of them.
    pub(super) fn take(&self) -> Place {
        let (keeps, kept) = oneshot::channel();
        let mut held = self.held();
        let arrival = held.came;
        held.came += 1;
        while held.by_arrival.len() >= self.at_most && held.by_arrival.pop_first().is_some() {}
        held.by_arrival.insert(arrival, keeps);
        drop(held);
        Place { arrival, places: self.clone(), kept }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until it is taken away.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.kept).await;
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

    fn is_lost(place: &mut Place) -> bool {
        pin!(place.lost()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// [G25] Who comes always gets a place: of those who wait the first loses theirs, and nobody
    /// where one was given back.
    #[test]
    fn who_waits_longest_makes_room() {
        let places = Places::new(2);
        let (mut first, mut second) = (places.take(), places.take());
        assert!(!is_lost(&mut first) && !is_lost(&mut second));
        let mut third = places.take();
        assert!(is_lost(&mut first) && !is_lost(&mut second) && !is_lost(&mut third));
        drop((first, third));
        let mut fourth = places.take();
        assert!(!is_lost(&mut second) && !is_lost(&mut fourth));
        let mut fifth = places.take();
        assert!(is_lost(&mut second) && !is_lost(&mut fourth) && !is_lost(&mut fifth));
        drop((second, fourth, fifth));
        assert!(places.held().by_arrival.is_empty());
    }
}
