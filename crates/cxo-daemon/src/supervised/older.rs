//! A supervisor that an older version started. It outlives daemons, and does not know what later
//! ones ask: what it attends to goes on under it, nothing more is started by it, and it makes way
//! when nothing is left.

use std::sync::{Arc, PoisonError};

use cxo_agent::supervisor::{Hello, Shutdown, SupervisorError, VOCABULARY};

use super::{Connected, LISTING_WITHIN, State, Supervised};

/// The version of a supervisor that does not know all that is asked of it.
pub(super) fn version_of(hello: &Hello) -> Option<String> {
    (hello.vocabulary < VOCABULARY).then(|| hello.version.clone())
}

impl Supervised {
    /// A connection to a supervisor that knows all that is asked of it. An older one that has
    /// nothing to attend to makes way for one of this version.
    pub(super) fn able(self: &Arc<Self>) -> Result<Connected, SupervisorError> {
        let connected = self.connected()?;
        if self.lock().older.is_none() {
            return Ok(connected);
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = {
            let state = self.lock();
            // Somebody else had it replaced meanwhile.
            if let (None, Some(replaced)) = (&state.older, state.connection()) {
                return Ok(replaced);
            }
            state.can_make_way()?;
            state.generation
        };
        tracing::info!("the supervisor of an older version makes way");
        // One that is on its way out already is what is wanted.
        let _ = connected.client.shutdown(Shutdown::WhenEmpty);
        let waited = self.listed.wait_timeout_while(self.lock(), LISTING_WITHIN, |state| {
            state.generation == generation && !state.is_gone
        });
        drop(waited);
        let next = self.connect_anew()?;
        self.lock().can_make_way()?;
        Ok(next)
    }
}

impl State {
    /// An older one that still attends to something stays.
    fn can_make_way(&self) -> Result<(), SupervisorError> {
        match &self.older {
            Some(version) if !self.live.is_empty() => {
                let version = version.clone();
                Err(SupervisorError::Older { version, live: self.live.len() })
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
