//! Who is connected, and whether anybody may still come in.
//!
//! A daemon that leaves because nobody needs it closes the door in the same step in which it sees
//! that nobody is there: no client is let in by a daemon that does not serve it. An agent has its
//! share of the connections, and the last of them are the user's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cxo_protocol::{Code, Principal, Problem};

/// Connections at once: every `cxo` of a user and room for tools.
pub(crate) const MAX_CONNECTIONS: usize = 1024;

/// Connections of one agent. What all of them can have waiting is half of the queue.
const MAX_OF_ONE_AGENT: usize = 16;

/// When to come again: connections are seldom held for long.
const AGAIN_AFTER_SECONDS: u16 = 5;

/// The way in.
#[derive(Debug)]
pub(crate) struct Door {
    state: Mutex<State>,
    room: usize,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    inside: usize,
    of_agents: BTreeMap<Principal, usize>,
}

/// Being inside, until this is dropped.
#[derive(Debug)]
pub(crate) struct Inside {
    door: Arc<Door>,
    who: Principal,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// The daemon leaves.
    Closed,
    /// There is no place: so many connections there may be, or may be this caller's.
    Full(usize),
}

impl Away {
    /// What the caller is told.
    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::Closed => Problem::new(Code::NoDaemon, "the daemon is leaving")
                .keeping("nothing was changed")
                .try_next("cxo daemon start"),
            Self::Full(limit) => Problem::new(Code::Busy, "too many connections")
                .because(format!("there are {limit}, which is the most for this caller"))
                .keeping("nothing was changed")
                .retry_after(AGAIN_AFTER_SECONDS)
                .try_next("close connections that are not used"),
        }
    }
}

impl Default for Door {
    fn default() -> Self {
        Self::with_room(MAX_CONNECTIONS)
    }
}

impl Door {
    /// A door behind which there is room for so many.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { state: Mutex::default(), room }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one more in.
    pub(crate) fn enter(self: &Arc<Self>, who: &Principal) -> Result<Inside, Away> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Away::Closed);
        }
        let room = if who.is_users() {
            self.room
        } else {
            let own = state.of_agents.get(who).copied().unwrap_or_default();
            if own >= MAX_OF_ONE_AGENT {
                return Err(Away::Full(MAX_OF_ONE_AGENT));
            }
            // The last quarter is the user's.
            self.room - self.room / 4
        };
        if state.inside >= room {
            return Err(Away::Full(room));
        }
        state.inside += 1;
        if !who.is_users() {
            *state.of_agents.entry(who.clone()).or_default() += 1;
        }
        Ok(Inside { door: self.clone(), who: who.clone() })
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
        let mut state = self.door.lock();
        state.inside -= 1;
        if let Some(own) = state.of_agents.get_mut(&self.who) {
            *own -= 1;
            if *own == 0 {
                state.of_agents.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cxo_protocol::AgentId;

    use super::*;

    fn agent(number: usize) -> Principal {
        Principal::Agent(AgentId::new(&format!("a{number}")).unwrap())
    }

    /// [G25] A door that is full or closed lets nobody in, and one that somebody is behind does
    /// not close by itself.
    #[test]
    fn nobody_comes_in_through_a_closed_or_full_door() {
        let door = Arc::new(Door::default());
        let enter = || door.enter(&Principal::User);
        let mut inside: Vec<Inside> =
            (0..MAX_CONNECTIONS).map(|_| enter().expect("there is room")).collect();
        assert_eq!(enter().err(), Some(Away::Full(MAX_CONNECTIONS)));
        inside.truncate(1);
        assert!(enter().is_ok(), "there is room again");
        assert!(!door.close_if_empty(), "somebody is inside");
        inside.clear();
        assert!(door.close_if_empty());
        assert_eq!(enter().err(), Some(Away::Closed));
    }

    /// [G25] One agent has its share of the connections, all agents together leave some to the
    /// user, and whoever goes makes room.
    #[test]
    fn agents_leave_room_for_the_user() {
        let door = Arc::new(Door::with_room(64));
        let of_one: Vec<Inside> = (0..20).filter_map(|_| door.enter(&agent(0)).ok()).collect();
        assert_eq!(of_one.len(), MAX_OF_ONE_AGENT);
        assert_eq!(door.enter(&agent(0)).err(), Some(Away::Full(MAX_OF_ONE_AGENT)));
        let others: Vec<Inside> = (1..100).filter_map(|n| door.enter(&agent(n)).ok()).collect();
        assert_eq!(others.len(), 48 - MAX_OF_ONE_AGENT);
        assert_eq!(door.enter(&agent(200)).err(), Some(Away::Full(48)));
        let users: Vec<Inside> = (0..20).filter_map(|_| door.enter(&Principal::Gui).ok()).collect();
        assert_eq!(users.len(), 16, "the last places are the user's");
        drop((of_one, users));
        assert!(door.enter(&agent(0)).is_ok());
        drop(others);
        assert!(door.is_empty() && door.lock().of_agents.is_empty());
    }
}
