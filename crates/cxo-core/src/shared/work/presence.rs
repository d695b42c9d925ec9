//! Whether somebody is there in a session: known from its connection and its process, and not from
//! what a model remembers to say.

use cxo_protocol::session_work::ProcessMark;
use cxo_protocol::{SessionId, SharedEvent, Timestamp, WorkEvent};

use crate::shared::Session;

/// A session of which nobody was seen for so long is quiet enough to be taken over.
pub const QUIET_AFTER_MS: u64 = 60_000;

/// Being heard of so soon after the last time tells nothing that is worth keeping.
const HEARD_EVERY_MS: u64 = 20_000;

/// Whether a connection holds a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// This one came last of those that do.
    Held {
        /// Which one, counted by the daemon.
        connection: u64,
    },
    /// None does.
    Quiet {
        /// When it was last heard of.
        since: Timestamp,
    },
}

/// A connection that takes a session up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Which one, counted by the daemon and never twice.
    pub connection: u64,
    /// The process at its other end, where that is known.
    pub process: Option<ProcessMark>,
}

/// What the daemon sees of the process that a session was last held by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It is there.
    Lives,
    /// It is gone for ever.
    Gone,
    /// No process is known.
    Unknown,
}

/// Why a session counts as alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    /// A connection holds it.
    Held,
    /// Its process is there.
    Process,
    /// It was heard of a moment ago, and no process is known that could be gone.
    HeardOf {
        /// When it is quiet for long enough, if nothing is heard until then.
        until: Timestamp,
    },
}

impl Arrival {
    /// The event by which it holds a session.
    pub(crate) fn holds(&self, session: &SessionId) -> SharedEvent {
        let (connection, process) = (self.connection, self.process.clone());
        let session = session.clone();
        SharedEvent::Work(WorkEvent::SessionPresent { session, connection, process })
    }
}

impl Session {
    /// For how long nobody was seen, in milliseconds; none while a connection holds it.
    pub fn quiet_ms(&self, now: Timestamp) -> Option<u64> {
        match self.presence {
            Presence::Held { .. } => None,
            Presence::Quiet { since } => Some(now.millis_since(since)),
        }
    }

    /// Why it counts as alive; nothing if it may be taken over.
    pub fn alive(&self, life: Life, now: Timestamp) -> Option<Alive> {
        match (self.presence, life) {
            (Presence::Held { .. }, _) => Some(Alive::Held),
            (Presence::Quiet { .. }, Life::Lives) => Some(Alive::Process),
            (Presence::Quiet { .. }, Life::Gone) => None,
            (Presence::Quiet { since }, Life::Unknown) => {
                let until = since.plus_millis(QUIET_AFTER_MS);
                (now < until).then_some(Alive::HeardOf { until })
            }
        }
    }

    /// The event by which it is heard of, if that is worth keeping.
    pub(super) fn heard(&self, session: &SessionId, now: Timestamp) -> Option<WorkEvent> {
        let tells = self.quiet_ms(now).is_some_and(|quiet| quiet >= HEARD_EVERY_MS);
        tells.then(|| WorkEvent::SessionHeard { session: session.clone() })
    }

    /// The event by which a connection that is gone holds it no more. One that came after it does.
    pub(super) fn left(&self, session: &SessionId, connection: u64) -> Option<WorkEvent> {
        let is_last = self.presence == Presence::Held { connection };
        is_last.then(|| WorkEvent::SessionQuiet { session: session.clone() })
    }
}
