//! Sessions: who is connected, or was and will come back, and which tree it works on.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{Principal, SessionId, SharedEvent, Timestamp};

use super::shares::Taken;
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
    /// When it began.
    pub started_at: Timestamp,
}

/// All sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    open: BTreeMap<SessionId, Session>,
    pub(crate) by_principal: BTreeMap<Principal, BTreeSet<SessionId>>,
}

impl Sessions {
    /// A session.
    pub fn get(&self, session: &SessionId) -> Option<&Session> {
        self.open.get(session)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionId, &Session)> {
        self.open.iter()
    }

    /// Those of one caller.
    pub fn of(&self, principal: &Principal) -> impl Iterator<Item = &SessionId> {
        self.by_principal.get(principal).into_iter().flatten()
    }

    /// Whether somebody is there who works in a session: what it holds is then held for longer. One
    /// that ends with its connection is there until it ends.
    pub fn is_there(&self, session: &SessionId) -> bool {
        self.open.get(session).is_some_and(|session| session.of_connection)
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

    pub(super) fn put(&mut self, id: SessionId, session: Session) {
        self.remove(&id);
        self.by_principal.entry(session.principal.clone()).or_default().insert(id.clone());
        self.open.insert(id, session);
    }

    pub(super) fn remove(&mut self, id: &SessionId) {
        let Some(session) = self.open.remove(id) else { return };
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
