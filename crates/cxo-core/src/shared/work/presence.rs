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
        /// Since when.
        since: Timestamp,
        /// When it was last heard of since then. Who calls without staying is heard of only so.
        heard_at: Option<Timestamp>,
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
    /// It was heard of a moment ago, and not only from a process that is gone.
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
            Presence::Quiet { since, heard_at } if !self.is_there() => {
                Some(now.millis_since(heard_at.unwrap_or(since)))
            }
            Presence::Held { .. } | Presence::Quiet { .. } => None,
        }
    }

    /// Why it counts as alive; nothing if it may be taken over.
    pub fn alive(&self, life: Life, now: Timestamp) -> Option<Alive> {
        let Presence::Quiet { since, heard_at } = self.presence else {
            return Some(Alive::Held);
        };
        let heard_of = match life {
            _ if self.is_there() => return Some(Alive::Held),
            Life::Lives => return Some(Alive::Process),
            // Whoever was heard of since is not the process that is gone.
            Life::Gone => heard_at?,
            Life::Unknown => heard_at.unwrap_or(since),
        };
        let until = heard_of.plus_millis(QUIET_AFTER_MS);
        (now < until).then_some(Alive::HeardOf { until })
    }

    /// Whether it is worth keeping that it is heard of now.
    pub fn hearing_tells(&self, now: Timestamp) -> bool {
        match self.presence {
            Presence::Held { .. } => false,
            Presence::Quiet { heard_at, .. } => {
                let is_news = heard_at.is_none_or(|at| now.millis_since(at) >= HEARD_EVERY_MS);
                !self.is_there() && is_news
            }
        }
    }

    /// The event by which it is heard of, if that is worth keeping.
    pub(super) fn heard(&self, session: &SessionId, now: Timestamp) -> Option<WorkEvent> {
        self.hearing_tells(now).then(|| WorkEvent::SessionHeard { session: session.clone() })
    }

    /// A connection holds it. Connections may be told of in another order than they came in.
    pub(super) fn held_by(&mut self, connection: u64, process: Option<&ProcessMark>) {
        match self.presence {
            Presence::Held { connection: last } if last > connection => {}
            Presence::Held { .. } | Presence::Quiet { .. } => {
                self.presence = Presence::Held { connection };
                self.process = process.cloned();
            }
        }
    }

    /// It was heard of, though no connection holds it.
    pub(super) fn heard_of(&mut self, now: Timestamp) {
        if let Presence::Quiet { heard_at, .. } = &mut self.presence {
            *heard_at = Some(now);
        }
    }

    /// The event by which no connection holds it any more, if this one and those before it are gone.
    /// One that came after it does.
    pub(super) fn left(&self, session: &SessionId, last: u64) -> Option<WorkEvent> {
        let Presence::Held { connection } = self.presence else { return None };
        (connection <= last).then(|| WorkEvent::SessionQuiet { session: session.clone() })
    }
}
