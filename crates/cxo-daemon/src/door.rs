//! Who is connected, and whether anybody may still come in.
//!
//! A daemon that leaves because nobody needs it closes the door in the same step in which it sees
//! that nobody is there: no client is let in by a daemon that does not serve it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections at once: every `cxo` of a user and room for tools.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// The way in.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    inside: usize,
}

/// Being inside, until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    door: Arc<Door>,
}

impl Door {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one more in; `None` if the door is closed or there are too many.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Inside> {
        let mut state = self.lock();
        if state.is_closed || state.inside >= MAX_CONNECTIONS {
            return None;
        }
        state.inside += 1;
        Some(Inside { door: self.clone() })
    }

    /// How many are inside.
    pub(crate) fn inside(&self) -> usize {
        self.lock().inside
    }

    /// Whether nobody is inside.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().inside == 0
    }

    /// Lets nobody in any more.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
    }

    /// Closes if nobody is inside; says whether it did.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut state = self.lock();
        state.is_closed |= state.inside == 0;
        state.is_closed
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.door.lock().inside -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G25] A door that is full or closed lets nobody in, and one that somebody is behind does
    /// not close by itself.
    #[test]
    fn nobody_comes_in_through_a_closed_or_full_door() {
        let door = Arc::new(Door::default());
        let mut inside: Vec<Inside> =
            (0..MAX_CONNECTIONS).map(|_| door.enter().expect("there is room")).collect();
        assert!(door.enter().is_none(), "the door is full");
        inside.truncate(1);
        assert!(door.enter().is_some(), "there is room again");
        assert!(!door.close_if_empty(), "somebody is inside");
        inside.clear();
        assert!(door.close_if_empty());
        assert!(door.enter().is_none(), "the door is closed");
    }
}
