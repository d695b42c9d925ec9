//! A supervisor that an older version started. It outlives daemons, and does not know what later
//! ones ask: what it attends to goes on under it, nothing more is started by it, and it makes way
//! when nothing is left.

use std::io;
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};

use cxo_agent::supervisor::{Hello, Shutdown, SupervisorError, VOCABULARY};

use super::{Connected, Heard, LISTING_WITHIN, State, Supervised};

/// The version of a supervisor that does not know all that is asked of it.
pub(super) fn version_of(hello: &Hello) -> Option<String> {
    (hello.vocabulary < VOCABULARY).then(|| hello.version.clone())
}

impl Supervised {
    /// A connection to a supervisor that knows all that is asked of it. An older one that has
    /// nothing to attend to makes way for one of this version; while it has, that is an error, and
    /// `heard` is told when to ask again. Meanwhile others can ask it for what it knows.
    pub(super) fn able(
        self: &Arc<Self>,
        heard: &Sender<Heard>,
    ) -> Result<Connected, SupervisorError> {
        loop {
            let connected = self.connected()?;
            let Connected { client, generation } = {
                let mut state = self.lock();
                let (Some(_), Some(older)) = (&state.older, state.connection()) else {
                    return Ok(connected);
                };
                // Before it is asked: what ends from now on is heard of.
                state.held_up.push(heard.clone());
                state.can_make_way()?;
                state.stays = None;
                older
            };
            tracing::info!("the supervisor of an older version is to make way");
            // One that is on its way out already is what is wanted.
            let _ = client.shutdown(Shutdown::WhenEmpty);
            let is_there = |state: &mut State| state.generation == generation && !state.is_gone;
            let (mut state, _) = self
                .listed
                .wait_timeout_while(self.lock(), LISTING_WITHIN, |state| {
                    is_there(state) && state.stays.is_none()
                })
                .unwrap_or_else(PoisonError::into_inner);
            if is_there(&mut state) {
                return Err(match (&state.older, state.stays) {
                    (Some(version), Some(live)) => {
                        SupervisorError::Older { version: version.clone(), live }
                    }
                    (None, _) | (_, None) => {
                        SupervisorError::Gone { source: io::ErrorKind::TimedOut.into() }
                    }
                });
            }
        }
    }
}

impl State {
    /// An older one that still attends to something stays, be it wanted or not.
    fn can_make_way(&self) -> Result<(), SupervisorError> {
        let unwanted = self.unwanted.iter().filter(|effect| !self.live.contains_key(*effect));
        match (&self.older, self.live.len() + unwanted.count()) {
            (None, _) | (Some(_), 0) => Ok(()),
            (Some(version), live) => Err(SupervisorError::Older { version: version.clone(), live }),
        }
    }

    /// Something ended, or the supervisor did: who waits for it to make way asks again.
    pub(super) fn less_lives(&mut self) {
        for waiting in self.held_up.drain(..) {
            let _ = waiting.send(Heard::MayStart);
        }
    }

    /// After a listing: what does not live any more ended unheard, and is not waited for.
    pub(super) fn keep_unwanted_that_live(&mut self) {
        let live = &self.live;
        self.unwanted.retain(|effect| live.contains_key(effect));
    }
}

#[cfg(test)]
mod tests;
