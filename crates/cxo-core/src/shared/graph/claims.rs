//! Claims: leases on cases. One session holds a case at a time, under a fence that is larger than
//! all before it. A claim is held for longer by every call of its holder about the case, and by its
//! holder being there: whether a session lives is the daemon's to know and not a model's to say.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::graph::{ClaimEnd, GraphEvent, NodeId};
use cxo_protocol::{SessionId, Timestamp};

use super::command::GraphRejected;
use super::node;
use crate::shared::Sessions;

/// How long a case is held without anything being heard of its session.
pub const CLAIM_LEASE_MS: u64 = 10 * 60 * 1000;

/// Cases that one session holds at a time: more than it can do. When all sessions of a repository end at
/// once, all that they hold still fits one group of the log.
pub const MAX_CLAIMS_OF_SESSION: usize = 16;

/// Cases that it holds when it takes over those of another one: they come on top of what it took itself.
pub(super) const MAX_CLAIMS_TAKEN_OVER: usize = 2 * MAX_CLAIMS_OF_SESSION;

/// A case that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The case.
    pub case: NodeId,
    /// Who holds it.
    pub session: SessionId,
    /// Larger than every fence before it.
    pub fence: u64,
    /// When it was taken.
    pub claimed_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl Claim {
    /// Until when it is held, as far as is known now: a lease from when its holder last called about
    /// it, was there, or was heard of.
    fn held_until(&self, now: Timestamp, sessions: &Sessions) -> Timestamp {
        let seen_at = sessions.seen_at(&self.session, now);
        let leased = seen_at.map(|seen_at| seen_at.plus_millis(CLAIM_LEASE_MS));
        leased.map_or(self.expires_at, |leased| leased.max(self.expires_at))
    }

    /// Whether it is held. A claim that is over counts no more, even before somebody has noticed.
    pub fn is_held_at(&self, now: Timestamp, sessions: &Sessions) -> bool {
        now < self.held_until(now, sessions)
    }
}

/// All claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    held: BTreeMap<NodeId, Claim>,
    pub(super) by_session: BTreeMap<SessionId, BTreeSet<NodeId>>,
    pub(super) by_expiry: BTreeSet<(Timestamp, NodeId)>,
    pub(super) last_fence: u64,
}

impl Claims {
    /// Who holds a case.
    pub fn get(&self, case: NodeId) -> Option<&Claim> {
        self.held.get(&case)
    }

    /// All of them, by case.
    pub fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.held.values()
    }

    /// Those of a session, by case.
    pub fn of(&self, session: &SessionId) -> impl Iterator<Item = &Claim> {
        let cases = self.by_session.get(session).into_iter().flatten();
        cases.filter_map(|case| self.held.get(case))
    }

    /// Those of a session that ends: their cases are free.
    pub fn free_all(&self, session: &SessionId) -> Vec<GraphEvent> {
        self.of(session).map(|claim| released(claim, ClaimEnd::SessionEnded)).collect()
    }

    /// Those of a session that another one takes over, each under a fence of its own, so that the
    /// first can write nothing under them any more.
    pub fn hand_over(
        &self,
        from: &SessionId,
        to: &SessionId,
        now: Timestamp,
    ) -> Result<Vec<GraphEvent>, GraphRejected> {
        let fits = self.of(from).count() + self.of(to).count() <= MAX_CLAIMS_TAKEN_OVER;
        node::within("what a session holds with what it takes over", fits, "32 cases")?;
        let fences = self.last_fence + 1..;
        let handed_over = self
            .of(from)
            .zip(fences)
            .map(|(claim, fence)| GraphEvent::ClaimHandedOver {
                case: claim.case,
                session: to.clone(),
                fence,
                expires_at: now.plus_millis(CLAIM_LEASE_MS),
            })
            .collect();
        Ok(handed_over)
    }

    /// What becomes of those whose time is up: who is there holds them for longer.
    pub(super) fn due(&self, now: Timestamp, sessions: &Sessions) -> Vec<GraphEvent> {
        let due = self.by_expiry.iter().take_while(|(at, _)| *at <= now);
        due.filter_map(|(_, case)| self.held.get(case))
            .map(|claim| {
                if claim.is_held_at(now, sessions) {
                    let expires_at = claim.held_until(now, sessions);
                    GraphEvent::ClaimRenewed { case: claim.case, expires_at }
                } else {
                    released(claim, ClaimEnd::Expired)
                }
            })
            .collect()
    }

    /// When time alone changes something.
    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    pub(super) fn put(&mut self, claim: Claim) {
        if self.held.contains_key(&claim.case) {
            return;
        }
        self.last_fence = self.last_fence.max(claim.fence);
        self.by_session.entry(claim.session.clone()).or_default().insert(claim.case);
        self.by_expiry.insert((claim.expires_at, claim.case));
        self.held.insert(claim.case, claim);
    }

    pub(super) fn renew(&mut self, case: NodeId, expires_at: Timestamp) {
        if let Some(claim) = self.held.get_mut(&case) {
            self.by_expiry.remove(&(claim.expires_at, case));
            claim.expires_at = expires_at;
            self.by_expiry.insert((expires_at, case));
        }
    }

    pub(super) fn remove(&mut self, case: NodeId) {
        let Some(claim) = self.held.remove(&case) else { return };
        self.by_expiry.remove(&(claim.expires_at, case));
        if let Some(own) = self.by_session.get_mut(&claim.session) {
            own.remove(&case);
            if own.is_empty() {
                self.by_session.remove(&claim.session);
            }
        }
    }
}

/// A claim is held for longer.
pub(super) fn renewed(claim: &Claim, now: Timestamp) -> GraphEvent {
    GraphEvent::ClaimRenewed { case: claim.case, expires_at: now.plus_millis(CLAIM_LEASE_MS) }
}

/// A claim is over.
pub(super) fn released(claim: &Claim, why: ClaimEnd) -> GraphEvent {
    GraphEvent::ClaimReleased { case: claim.case, why }
}
