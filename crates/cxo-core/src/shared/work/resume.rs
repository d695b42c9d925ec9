//! Taking over what a session left: all of it in one transaction, by one of those who ask, and never
//! from one that lives.

use cxo_protocol::session_work::RefStatus;
use cxo_protocol::shared::SessionEnd;
use cxo_protocol::{Principal, SessionId, SharedEvent, Timestamp, WorkEvent};

use super::presence::Life;
use super::{Decided, WorkRejected};
use crate::shared::{Session, Shared, SharedRejected, is_same_caller};

impl Shared {
    /// The sessions that were quiet for longer than this and have something to go on with, the one
    /// that is quiet the longest first. Whether their processes live is not known here.
    pub fn candidates(
        &self,
        requester: Option<&SessionId>,
        principal: &Principal,
        (quiet_ms, now): (u64, Timestamp),
    ) -> Vec<(&SessionId, &Session)> {
        let mut found: Vec<_> = self
            .sessions
            .iter()
            .filter(|(id, session)| Some(*id) != requester && may_take_from(principal, session))
            .filter(|(_, session)| session.quiet_ms(now).is_some_and(|quiet| quiet > quiet_ms))
            .filter(|(id, _)| self.has_something_left(id))
            .collect();
        found
            .sort_by_key(|(id, session)| (std::cmp::Reverse(session.quiet_ms(now)), (*id).clone()));
        found
    }

    fn has_something_left(&self, session: &SessionId) -> bool {
        let standing = self.work.refs.get(session);
        standing.is_some_and(|standing| standing.reference.status == RefStatus::Active)
    }

    pub(super) fn take_over(
        &self,
        (requester, target): (&SessionId, &SessionId),
        principal: &Principal,
        life: Life,
        now: Timestamp,
    ) -> Decided {
        // What ends with a connection is no place to go on in.
        if self.sessions.owned(requester, principal)?.of_connection {
            return Err(WorkRejected::NoRef { session: requester.clone() }.into());
        }
        let left = self
            .sessions
            .get(target)
            .ok_or_else(|| SharedRejected::NoSession { session: target.clone() })?;
        if !may_take_from(principal, left) {
            return Err(SharedRejected::NotYours { session: target.clone() });
        }
        let session = target.clone();
        if requester == target {
            return Err(WorkRejected::HasWork { session }.into());
        }
        if let Some(alive) = left.alive(life, now) {
            return Err(WorkRejected::IsAlive { session, alive }.into());
        }
        if !self.has_something_left(target) {
            return Err(WorkRejected::NothingLeft { session }.into());
        }
        if self.works_on_something(requester) {
            return Err(WorkRejected::HasWork { session: requester.clone() }.into());
        }
        let by = requester.clone();
        let mut events = self.locks.hand_over(target, requester, now);
        let claims = self.graph.claims.hand_over(target, requester, now)?;
        events.extend(claims.into_iter().map(SharedEvent::Graph));
        events.push(SharedEvent::Work(WorkEvent::SessionTakenOver { session, by }));
        let (session, why) = (target.clone(), SessionEnd::TakenOver);
        events.push(SharedEvent::SessionEnded { session, why });
        Ok(events)
    }

    /// Whether a session has a node of its own that is not at its end.
    fn works_on_something(&self, session: &SessionId) -> bool {
        self.work.refs.get(session).is_some_and(|standing| {
            let reference = &standing.reference;
            reference.node.is_some() && reference.status == RefStatus::Active
        })
    }

    pub(super) fn evolve_taken_over(&mut self, left: &SessionId, by: &SessionId) {
        let tree = self.sessions.get(left).map(|session| session.tree.clone());
        self.work.worktrees.hand_over(left, Some(by));
        self.work.refs.hand_over(left, by);
        // Whoever goes on does so where the other one was.
        if let Some(tree) = tree.filter(|tree| self.work.worktrees.at(tree).is_some()) {
            self.sessions.change(by, |session| session.tree = tree);
        }
    }
}

/// What an agent left, another agent may take, and the user may take everything.
fn may_take_from(principal: &Principal, left: &Session) -> bool {
    is_same_caller(principal, &left.principal)
        || principal.is_users()
        || matches!(left.principal, Principal::Agent(_))
}
