//! The work of sessions: who is there, on which worktrees, where each stands, and how what one
//! left is taken over by another. It knows no git and no process: what is seen of those is told to it.

mod command;
mod isolation;
mod opening;
mod presence;
mod refs;
mod resume;
mod standing;
mod worktrees;

use cxo_protocol::session_work::{MergeEnd, WorktreeKind};
use cxo_protocol::shared::{LockEnd, SessionEnd};
use cxo_protocol::{Principal, SessionId, SharedEvent, Timestamp, WorkEvent, WorktreeId};

pub use command::{
    MainTree, OWN_BRANCHES, Opening, Site, StepEnd, WorkCommand, WorkRejected, WorktreePlan,
};
pub use isolation::{OWN_WORKTREE_FROM, advise};
pub use presence::{Alive, Arrival, Life, Presence, QUIET_AFTER_MS};
pub use refs::{MAX_REQUIRED_FILES, RefChange, Refs, Standing};
pub use worktrees::{MAX_WORKTREES, Step, Worktree, Worktrees};

use super::graph::{CLAIM_LEASE_MS, Claim};
use super::{Opened, Shared, SharedRejected};

/// What sessions work on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// Their worktrees.
    pub worktrees: Worktrees,
    /// Where they stand.
    pub refs: Refs,
}

type Decided = Result<Vec<SharedEvent>, SharedRejected>;

impl Shared {
    pub(super) fn decide_work(&self, command: &WorkCommand, now: Timestamp) -> Decided {
        match command {
            WorkCommand::Open(opening) => self.open(opening),
            WorkCommand::Arrive { session, principal, arrival } => {
                self.sessions.owned(session, principal)?;
                Ok(vec![arrival.holds(session)])
            }
            WorkCommand::Leave { session, connection } => {
                let left = self.sessions.get(session);
                let left = left.and_then(|found| found.left(session, *connection));
                Ok(left.map(SharedEvent::Work).into_iter().collect())
            }
            WorkCommand::Hear { session, principal } => {
                let heard = self.sessions.owned(session, principal)?.heard(session, now);
                Ok(heard.map(SharedEvent::Work).into_iter().collect())
            }
            WorkCommand::TakeOver { requester, target, principal, life } => {
                self.take_over((requester, target), principal, *life, now)
            }
            WorkCommand::EndLeft { session, life } => {
                let left = self.sessions.get(session);
                let left =
                    left.ok_or_else(|| SharedRejected::NoSession { session: session.clone() })?;
                if let Some(alive) = left.alive(*life, now) {
                    return Err(WorkRejected::IsAlive { session: session.clone(), alive }.into());
                }
                Ok(self.end_session(session, SessionEnd::CleanedUp))
            }
            WorkCommand::ChangeRef { session, principal, change } => {
                self.sessions.owned(session, principal)?;
                if self.work.refs.get(session).is_none() {
                    return Err(WorkRejected::NoRef { session: session.clone() }.into());
                }
                let changed = self.work.refs.change(session, change.clone())?;
                Ok(changed.map(SharedEvent::Work).into_iter().collect())
            }
            WorkCommand::AcknowledgeRef { session, principal, reference } => {
                self.sessions.owned(session, principal)?;
                let told = self.work.refs.acknowledge(session, *reference)?;
                Ok(told.map(SharedEvent::Work).into_iter().collect())
            }
            WorkCommand::PlanWorktree(plan) => self.plan_worktree(plan),
            WorkCommand::BeginMerge { worktree, session, principal, from, to, head } => {
                self.may_merge(*worktree, session, principal)?;
                let (from, to, head) = (from.clone(), to.clone(), head.clone());
                let begun = WorkEvent::WorktreeMerging { worktree: *worktree, from, to, head };
                Ok(vec![SharedEvent::Work(begun)])
            }
            WorkCommand::BeginReclaim { worktree, head } => {
                let found = self.work.worktrees.ready(*worktree)?;
                if found.kind == WorktreeKind::Main {
                    return Err(WorkRejected::IsMain { worktree: *worktree }.into());
                }
                self.work.worktrees.childless(*worktree)?;
                let begun =
                    WorkEvent::WorktreeReclaiming { worktree: *worktree, head: head.clone() };
                Ok(vec![SharedEvent::Work(begun)])
            }
            WorkCommand::EndStep { worktree, end } => Ok(self.end_step(*worktree, end)),
        }
    }

    /// Whether the work of a worktree may be put into the one above, which is told.
    pub fn may_merge(
        &self,
        id: WorktreeId,
        session: &SessionId,
        principal: &Principal,
    ) -> Result<(WorktreeId, &Worktree), SharedRejected> {
        self.sessions.owned(session, principal)?;
        let worktrees = &self.work.worktrees;
        let child = worktrees.get(id)?;
        let is_own = match &child.session {
            Some(owner) => owner == session,
            None => principal.is_users(),
        };
        if !is_own {
            return Err(WorkRejected::ForeignWorktree { worktree: id }.into());
        }
        let parent = child.parent.ok_or(WorkRejected::IsMain { worktree: id })?;
        worktrees.ready(id)?;
        worktrees.childless(id)?;
        let above = worktrees.ready(parent)?;
        worktrees.unmerged_into(parent)?;
        if above.kind == WorktreeKind::Main && !principal.is_users() {
            return Err(WorkRejected::MainIsUsers.into());
        }
        Ok((parent, above))
    }

    /// A step ends once: what comes late or twice changes nothing.
    fn end_step(&self, id: WorktreeId, end: &StepEnd) -> Vec<SharedEvent> {
        let Ok(found) = self.work.worktrees.get(id) else { return Vec::new() };
        let event = match (&found.step, end) {
            (Step::Planned, StepEnd::Made) => WorkEvent::WorktreeMade { worktree: id },
            (Step::Planned, StepEnd::Failed { why }) => {
                WorkEvent::WorktreeFailed { worktree: id, why: why.clone() }
            }
            (Step::Merging { .. }, StepEnd::Merged) => {
                WorkEvent::WorktreeMergeEnded { worktree: id, end: MergeEnd::Merged }
            }
            (Step::Merging { .. }, StepEnd::TakenBack { why }) => WorkEvent::WorktreeMergeEnded {
                worktree: id,
                end: MergeEnd::TakenBack { why: why.clone() },
            },
            (Step::Reclaiming { .. }, StepEnd::Reclaimed) => {
                WorkEvent::WorktreeReclaimed { worktree: id }
            }
            (Step::Reclaiming { .. }, StepEnd::Kept { why }) => {
                WorkEvent::WorktreeKept { worktree: id, why: why.clone() }
            }
            (
                Step::Planned | Step::Ready | Step::Merging { .. } | Step::Reclaiming { .. },
                StepEnd::Made
                | StepEnd::Failed { .. }
                | StepEnd::Merged
                | StepEnd::TakenBack { .. }
                | StepEnd::Reclaimed
                | StepEnd::Kept { .. },
            ) => return Vec::new(),
        };
        let failed = matches!(event, WorkEvent::WorktreeFailed { .. });
        let mut events = vec![SharedEvent::Work(event)];
        // A session without the worktree that it was opened on is none.
        if failed
            && found.kind == WorktreeKind::SessionRoot
            && let Some(session) = &found.session
            && self.sessions.get(session).is_some_and(|open| open.tree == found.path)
        {
            events.extend(self.end_session(session, SessionEnd::NoWorktree));
        }
        events
    }

    /// The events by which a session is over, and all that it holds is free.
    pub(super) fn end_session(&self, session: &SessionId, why: SessionEnd) -> Vec<SharedEvent> {
        let mut events = self.locks.free_all(session, LockEnd::SessionEnded);
        let claims = self.graph.claims.free_all(session);
        events.extend(claims.into_iter().map(SharedEvent::Graph));
        events.push(SharedEvent::SessionEnded { session: session.clone(), why });
        events
    }

    /// No connection of a daemon before is there any more. Who called over it may work on all the same:
    /// a session that holds cases is left as it is, and its leases run; one that ends with its
    /// connection and holds none is over.
    pub(super) fn let_go(&self) -> Vec<SharedEvent> {
        let there = self.sessions.iter().filter(|(id, _)| self.sessions.is_there(id));
        there
            .flat_map(|(id, session)| {
                if session.of_connection && self.graph.claims.of(id).next().is_none() {
                    return self.end_session(id, SessionEnd::Disconnected);
                }
                vec![SharedEvent::Work(WorkEvent::SessionQuiet { session: id.clone() })]
            })
            .collect()
    }

    /// The sessions that outlived their connection, came back to no other, and hold no case any more.
    pub(super) fn end_left_behind(&self, now: Timestamp) -> Vec<SharedEvent> {
        let over = self.sessions.outliving().filter(|(id, since)| {
            let held = |claim: &Claim| claim.is_held_at(now, &self.sessions);
            since.plus_millis(CLAIM_LEASE_MS) <= now && !self.graph.claims.of(id).any(held)
        });
        // Their claims have just ended by themselves.
        over.flat_map(|(id, _)| {
            let mut events = self.locks.free_all(id, LockEnd::SessionEnded);
            let (session, why) = (id.clone(), SessionEnd::Disconnected);
            events.push(SharedEvent::SessionEnded { session, why });
            events
        })
        .collect()
    }

    /// When the first of those that hold no case ends; the others end with their last claim.
    pub(super) fn next_left_behind(&self) -> Option<Timestamp> {
        let idle = self.sessions.outliving();
        let idle = idle.filter(|(id, _)| self.graph.claims.of(id).next().is_none());
        idle.map(|(_, since)| since.plus_millis(CLAIM_LEASE_MS)).min()
    }

    pub(super) fn evolve_work(&mut self, event: &WorkEvent, at: Timestamp) {
        match event {
            WorkEvent::SessionOpened { session, intent, role, owner, terminal, request } => {
                let opened = Opened {
                    intent: *intent,
                    role: role.clone(),
                    owner: owner.clone(),
                    terminal: terminal.clone(),
                    request: request.clone(),
                };
                self.sessions.change(session, |found| found.opened = Some(opened));
            }
            WorkEvent::SessionPresent { session, connection, process } => {
                self.sessions.change(session, |found| found.held_by(*connection, process.as_ref()));
            }
            WorkEvent::SessionHeard { session } => {
                self.sessions.change(session, |found| found.heard_of(at));
            }
            WorkEvent::SessionQuiet { session } => self.sessions.change(session, |found| {
                found.presence = Presence::Quiet { since: at, heard_at: None };
                found.outlived = found.of_connection;
            }),
            WorkEvent::SessionTakenOver { session, by } => self.evolve_taken_over(session, by),
            WorkEvent::WorktreePlanned {
                worktree,
                session,
                parent,
                kind,
                path,
                branch,
                base,
                node,
                by,
            } => {
                let step = match kind {
                    WorktreeKind::Main => Step::Ready,
                    WorktreeKind::SessionRoot | WorktreeKind::Task => Step::Planned,
                };
                let planned = Worktree {
                    session: session.clone(),
                    parent: *parent,
                    kind: *kind,
                    path: path.clone(),
                    branch: branch.clone(),
                    base: base.clone(),
                    node: *node,
                    by: by.clone(),
                    step,
                    planned_at: at,
                };
                self.work.worktrees.put(*worktree, planned);
            }
            WorkEvent::WorktreeMade { .. }
            | WorkEvent::WorktreeMerging { .. }
            | WorkEvent::WorktreeMergeEnded { .. }
            | WorkEvent::WorktreeReclaiming { .. }
            | WorkEvent::WorktreeKept { .. } => self.work.worktrees.step(event),
            WorkEvent::WorktreeFailed { worktree, .. }
            | WorkEvent::WorktreeReclaimed { worktree } => self.work.worktrees.remove(*worktree),
            WorkEvent::RefChanged { session, reference } => {
                self.work.refs.put(session, reference);
            }
            WorkEvent::RefAcknowledged { session, reference, version } => {
                self.work.refs.acknowledged(session, *reference, *version);
            }
        }
    }

    /// A session is over: nobody has its worktrees, and it stands nowhere.
    pub(super) fn forget_work_of(&mut self, session: &SessionId) {
        self.work.worktrees.hand_over(session, None);
        self.work.refs.remove(session);
    }
}

#[cfg(test)]
mod tests;
