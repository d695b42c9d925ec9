//! Sessions: who is connected, or was and will come back, and which tree it works on.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::session_work::{Intent, ProcessMark};
use cxo_protocol::{Principal, SessionId, SessionName, SharedEvent, Timestamp};

use super::shares::Taken;
use super::work::{Alive, Arrival, Presence, WorkRejected};
use super::{Places, SharedRejected, is_same_caller};

/// Sessions at one time. Each is a person, a program or a root agent.
pub const MAX_SESSIONS: usize = 1024;

const PLACES: Places =
    Places { what: "sessions", all: MAX_SESSIONS, of_one_agent: 64, kept_for_user: 256 };

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub principal: Principal,
    /// The tree that it works on, absolute.
    pub tree: String,
    /// Whether it ends with its connection.
    pub of_connection: bool,
    /// Whether that connection was one of a daemon before: it may come back, or another instead of it.
    pub outlived: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// How many began before it, and one.
    pub number: u64,
    /// Whether somebody is there.
    pub presence: Presence,
    /// The process that it was last held by, where that is known.
    pub process: Option<ProcessMark>,
    /// What it was opened for, if it was opened for work.
    pub opened: Option<Opened>,
}

impl Session {
    /// Whether somebody is there who works in it: one that ends with its connection is there until it
    /// ends, any other while a connection holds it.
    pub fn is_there(&self) -> bool {
        (self.of_connection && !self.outlived) || matches!(self.presence, Presence::Held { .. })
    }

    /// Whether it outlived its connection, and nobody is there.
    pub(crate) fn is_left_behind(&self) -> bool {
        self.outlived && matches!(self.presence, Presence::Quiet { .. })
    }
}

/// What a session that was opened for work says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What for; never `auto`.
    pub intent: Intent,
    /// Which role it wishes for. What it may do is its token's to say.
    pub role: Option<String>,
    /// Who works in it.
    pub owner: Option<String>,
    /// On which terminal.
    pub terminal: Option<String>,
    /// What was asked for.
    pub request: Option<String>,
}

/// A session that begins.
pub(super) struct Begun<'a> {
    pub(super) principal: &'a Principal,
    pub(super) tree: &'a str,
    pub(super) of_connection: bool,
}

/// All sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    open: BTreeMap<SessionId, Session>,
    pub(crate) by_principal: BTreeMap<Principal, BTreeSet<SessionId>>,
    pub(crate) by_number: BTreeMap<u64, SessionId>,
    /// Those that outlived their connection, while nobody is there.
    pub(crate) outliving: BTreeSet<SessionId>,
    last_number: u64,
}

impl Sessions {
    /// A session.
    pub fn get(&self, session: &SessionId) -> Option<&Session> {
        self.open.get(session)
    }

    /// The session that a name or a number means.
    pub fn named(&self, name: &SessionName) -> Option<&SessionId> {
        match name {
            SessionName::Number(number) => self.by_number.get(number),
            SessionName::Name(name) => self.open.get_key_value(name).map(|(id, _)| id),
        }
    }

    /// The one that began last, if it is still there.
    pub fn newest(&self) -> Option<&SessionId> {
        self.by_number.get(&self.last_number)
    }

    /// The name of a session that is named by its number.
    pub(super) fn next_name(&self) -> SessionId {
        let number = self.last_number + 1;
        let numbered = (2_u64..).map(|again| SessionId::numbered(number, Some(again)));
        let mut names = std::iter::once(SessionId::numbered(number, None)).chain(numbered);
        // Somebody may have chosen the name; as many are tried as there are sessions, and one more.
        names
            .find(|name| !self.open.contains_key(name))
            .unwrap_or_else(|| SessionId::numbered(number, None))
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.open.iter()
    }

    /// Those with larger numbers than this one, by number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = (&SessionId, &Session)> {
        let later = self.by_number.range(number.saturating_add(1)..);
        later.filter_map(|(_, id)| self.open.get_key_value(id))
    }

    /// Those of one caller.
    pub fn of(&self, principal: &Principal) -> impl Iterator<Item = &SessionId> {
        self.by_principal.get(principal).into_iter().flatten()
    }

    /// Whether somebody is there who works in a session: what it holds is then held for longer. One
    /// that ends with its connection is there until it ends, any other while a connection holds it.
    pub fn is_there(&self, session: &SessionId) -> bool {
        self.open.get(session).is_some_and(Session::is_there)
    }

    /// When somebody was there last, or was heard of; now, if somebody is there.
    pub fn seen_at(&self, session: &SessionId, now: Timestamp) -> Option<Timestamp> {
        let session = self.open.get(session)?;
        match session.presence {
            Presence::Quiet { since, heard_at } if !session.is_there() => {
                Some(heard_at.unwrap_or(since))
            }
            Presence::Quiet { .. } | Presence::Held { .. } => Some(now),
        }
    }

    /// The sessions that outlived their connection and that nobody took up again, with when they were
    /// left.
    pub(super) fn outliving(&self) -> impl Iterator<Item = (&SessionId, Timestamp)> {
        self.outliving.iter().filter_map(|id| match self.open.get(id)?.presence {
            Presence::Quiet { since, heard_at } => Some((id, heard_at.unwrap_or(since))),
            Presence::Held { .. } => None,
        })
    }

    /// The session, if it is the caller's.
    pub fn owned(
        &self,
        session: &SessionId,
        principal: &Principal,
    ) -> Result<&Session, SharedRejected> {
        let found = self
            .open
            .get(session)
            .ok_or_else(|| SharedRejected::NoSession { session: session.clone() })?;
        if is_same_caller(&found.principal, principal) {
            Ok(found)
        } else {
            Err(SharedRejected::NotYours { session: session.clone() })
        }
    }

    /// Starts a session or takes it up again, and holds it from then on if somebody stays. One at which
    /// another process is at work is not taken up: two would do the same work under the same name.
    pub(super) fn start_held(
        &self,
        session: &SessionId,
        begun: &Begun<'_>,
        arrival: Option<&Arrival>,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let Begun { principal, tree, of_connection } = begun;
        let mut events = self.start(session, principal, tree, *of_connection)?;
        let is_held = |open: &Session, arrival: &Arrival| {
            let is_same = open.process.is_some() && open.process == arrival.process;
            matches!(open.presence, Presence::Held { .. }) && !is_same
        };
        if let (Some(open), Some(arrival)) = (self.open.get(session), arrival)
            && is_held(open, arrival)
        {
            let alive = Alive::Held;
            return Err(WorkRejected::IsAlive { session: session.clone(), alive }.into());
        }
        events.extend(arrival.map(|arrival| arrival.holds(session)));
        Ok(events)
    }

    pub(super) fn start(
        &self,
        session: &SessionId,
        principal: &Principal,
        tree: &str,
        of_connection: bool,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        if let Some(open) = self.open.get(session) {
            let is_the_same = is_same_caller(&open.principal, principal) && open.tree == tree;
            return if is_the_same {
                Ok(Vec::new())
            } else {
                Err(SharedRejected::SessionTaken { session: session.clone() })
            };
        }
        let taken = |count| Taken { count, free_at: None };
        PLACES.admit(principal, taken(self.open.len()), || taken(self.of(principal).count()))?;
        Ok(vec![SharedEvent::SessionStarted {
            session: session.clone(),
            principal: principal.clone(),
            tree: tree.to_owned(),
            of_connection,
        }])
    }

    /// A session begins.
    pub(super) fn begin(&mut self, id: SessionId, begun: &Begun<'_>, at: Timestamp) {
        self.last_number += 1;
        let session = Session {
            principal: begun.principal.clone(),
            tree: begun.tree.to_owned(),
            of_connection: begun.of_connection,
            outlived: false,
            started_at: at,
            number: self.last_number,
            presence: Presence::Quiet { since: at, heard_at: None },
            process: None,
            opened: None,
        };
        self.put(id, session);
    }

    /// Changes one of them, if it is there; not its principal and not its number.
    pub(super) fn change(&mut self, id: &SessionId, change: impl FnOnce(&mut Session)) {
        let Some(session) = self.open.get_mut(id) else { return };
        change(session);
        if session.is_left_behind() {
            self.outliving.insert(id.clone());
        } else {
            self.outliving.remove(id);
        }
    }

    fn put(&mut self, id: SessionId, session: Session) {
        self.remove(&id);
        self.by_number.insert(session.number, id.clone());
        self.by_principal.entry(session.principal.clone()).or_default().insert(id.clone());
        self.open.insert(id, session);
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        let Some(session) = self.open.remove(id) else { return };
        self.by_number.remove(&session.number);
        self.outliving.remove(id);
        if let Some(own) = self.by_principal.get_mut(&session.principal) {
            own.remove(id);
            if own.is_empty() {
                self.by_principal.remove(&session.principal);
            }
        }
    }
}

#[cfg(test)]
mod tests;
