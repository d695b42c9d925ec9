//! Worktrees of sessions: a tree of them from the user's checkout down. What is on the disk follows
//! from what is said here: a step is decided first, then done, and its end is told.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::session_work::{MergeEnd, WorktreeKind, WorktreeState};
use cxo_protocol::{CommitId, Principal, SessionId, Timestamp, WorkEvent, WorktreeId};

use super::WorkRejected;
use crate::shared::Places;

/// Worktrees at one time. Each is a checkout of the whole repository.
pub const MAX_WORKTREES: usize = 1024;

pub(super) const PLACES: Places =
    Places { what: "worktrees", all: MAX_WORKTREES, of_one_agent: 64, kept_for_user: 256 };

/// How far a worktree is, with what has to be known to bring a step to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is being made.
    Planned,
    /// It can be worked in.
    Ready,
    /// Its work is being put into the worktree above.
    Merging {
        /// Where that one is.
        from: CommitId,
        /// Where it will be.
        to: CommitId,
        /// What is merged.
        head: CommitId,
    },
    /// It is being given back.
    Reclaiming {
        /// Where it is at.
        head: CommitId,
    },
}

impl Step {
    /// The same for people and programs.
    pub fn state(&self) -> WorktreeState {
        match self {
            Self::Planned => WorktreeState::Planned,
            Self::Ready => WorktreeState::Ready,
            Self::Merging { .. } => WorktreeState::Merging,
            Self::Reclaiming { .. } => WorktreeState::Reclaiming,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Planned => "being made",
            Self::Ready => "ready",
            Self::Merging { .. } => "being merged",
            Self::Reclaiming { .. } => "being given back",
        }
    }
}

/// A worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worktree {
    /// Whose it is; nobody's if that session is over.
    pub session: Option<SessionId>,
    /// The one above; none above the user's own.
    pub parent: Option<WorktreeId>,
    /// Its place among the others.
    pub kind: WorktreeKind,
    /// Where, absolute.
    pub path: String,
    /// Its branch. The user's own is on whatever the user likes.
    pub branch: Option<String>,
    /// The commit that it began at.
    pub base: Option<CommitId>,
    /// The node of the work graph that it is for.
    pub node: Option<u64>,
    /// Who had it made, whatever becomes of the session; not known of older ones.
    pub by: Option<Principal>,
    /// How far it is.
    pub step: Step,
    /// Since when it is known.
    pub planned_at: Timestamp,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Worktrees {
    known: BTreeMap<WorktreeId, Worktree>,
    pub(crate) by_session: BTreeMap<SessionId, BTreeSet<WorktreeId>>,
    pub(crate) children: BTreeMap<WorktreeId, BTreeSet<WorktreeId>>,
    pub(crate) last: u64,
}

impl Worktrees {
    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (WorktreeId, &Worktree)> {
        self.known.iter().map(|(id, worktree)| (*id, worktree))
    }

    /// One of them.
    pub fn get(&self, worktree: WorktreeId) -> Result<&Worktree, WorkRejected> {
        self.known.get(&worktree).ok_or(WorkRejected::NoWorktree { worktree })
    }

    /// Those of a session.
    pub fn of(&self, session: &SessionId) -> impl Iterator<Item = (WorktreeId, &Worktree)> {
        let own = self.by_session.get(session).into_iter().flatten();
        own.filter_map(|id| Some((*id, self.known.get(id)?)))
    }

    /// The user's own.
    pub fn main(&self) -> Option<(WorktreeId, &Worktree)> {
        // It is the first that is ever planned.
        self.known
            .first_key_value()
            .filter(|(_, worktree)| worktree.kind == WorktreeKind::Main)
            .map(|(id, worktree)| (*id, worktree))
    }

    /// The one at a path.
    pub fn at(&self, path: &str) -> Option<(WorktreeId, &Worktree)> {
        self.iter().find(|(_, worktree)| worktree.path == path)
    }

    /// The one that is planned next.
    pub(super) fn next(&self) -> WorktreeId {
        WorktreeId(self.last + 1)
    }

    /// One that can be worked in.
    pub(super) fn ready(&self, id: WorktreeId) -> Result<&Worktree, WorkRejected> {
        let worktree = self.get(id)?;
        if worktree.step == Step::Ready {
            Ok(worktree)
        } else {
            Err(WorkRejected::WorktreeBusy { worktree: id, is: worktree.step.word() })
        }
    }

    /// One below which there is no other.
    pub(super) fn childless(&self, id: WorktreeId) -> Result<(), WorkRejected> {
        match self.children.get(&id) {
            None => Ok(()),
            Some(children) => Err(WorkRejected::HasChildren {
                worktree: id,
                children: children.iter().copied().collect(),
            }),
        }
    }

    /// One into which nothing is being merged: what is half there could not be told from the next.
    pub(super) fn unmerged_into(&self, id: WorktreeId) -> Result<(), WorkRejected> {
        let children = self.children.get(&id).into_iter().flatten();
        let merging = children.filter_map(|&child| Some((child, &self.known.get(&child)?.step)));
        match merging.into_iter().find(|(_, step)| matches!(step, Step::Merging { .. })) {
            None => Ok(()),
            Some((worktree, step)) => Err(WorkRejected::WorktreeBusy { worktree, is: step.word() }),
        }
    }

    pub(super) fn put(&mut self, id: WorktreeId, worktree: Worktree) {
        if self.known.contains_key(&id) {
            return;
        }
        self.last = self.last.max(id.0);
        if let Some(session) = &worktree.session {
            self.by_session.entry(session.clone()).or_default().insert(id);
        }
        if let Some(parent) = worktree.parent {
            self.children.entry(parent).or_default().insert(id);
        }
        self.known.insert(id, worktree);
    }

    pub(super) fn remove(&mut self, id: WorktreeId) {
        let Some(worktree) = self.known.remove(&id) else { return };
        if let Some(session) = &worktree.session {
            take_out(&mut self.by_session, session, id);
        }
        if let Some(parent) = worktree.parent {
            take_out(&mut self.children, &parent, id);
        }
    }

    /// Brings a worktree to its next step, if the event fits the one that it is at.
    pub(super) fn step(&mut self, event: &WorkEvent) {
        let (WorkEvent::WorktreeMade { worktree }
        | WorkEvent::WorktreeMerging { worktree, .. }
        | WorkEvent::WorktreeMergeEnded { worktree, .. }
        | WorkEvent::WorktreeReclaiming { worktree, .. }
        | WorkEvent::WorktreeKept { worktree, .. }) = event
        else {
            return;
        };
        let Some(found) = self.known.get_mut(worktree) else { return };
        found.step = match (std::mem::replace(&mut found.step, Step::Ready), event) {
            (Step::Planned, WorkEvent::WorktreeMade { .. })
            | (
                Step::Merging { .. },
                WorkEvent::WorktreeMergeEnded { end: MergeEnd::TakenBack { .. }, .. },
            )
            | (Step::Reclaiming { .. }, WorkEvent::WorktreeKept { .. }) => Step::Ready,
            (
                Step::Merging { head, .. },
                WorkEvent::WorktreeMergeEnded { end: MergeEnd::Merged, .. },
            ) => Step::Reclaiming { head },
            (Step::Ready, WorkEvent::WorktreeMerging { from, to, head, .. }) => {
                Step::Merging { from: from.clone(), to: to.clone(), head: head.clone() }
            }
            (Step::Ready, WorkEvent::WorktreeReclaiming { head, .. }) => {
                Step::Reclaiming { head: head.clone() }
            }
            (unfit, _) => unfit,
        };
    }

    /// Gives all worktrees of a session to another one, or to nobody.
    pub(super) fn hand_over(&mut self, from: &SessionId, to: Option<&SessionId>) {
        for id in self.by_session.remove(from).unwrap_or_default() {
            if let Some(worktree) = self.known.get_mut(&id) {
                worktree.session = to.cloned();
            }
            if let Some(to) = to {
                self.by_session.entry(to.clone()).or_default().insert(id);
            }
        }
    }
}

fn take_out<K: Ord + Clone>(
    index: &mut BTreeMap<K, BTreeSet<WorktreeId>>,
    key: &K,
    id: WorktreeId,
) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
