//! Landings: one work on its way into the target, step by step. The target only ever moves to a
//! commit whose exact tree passed the checks, and only from where the merge was made.

use cxo_protocol::{
    Action, CommitId, Conflict, ConflictedFile, EffectId, LandingId, Merge, RunsLater, TreeId, Work,
};

use crate::claim::Claim;
use crate::run::Run;
use crate::task::{Task, TaskState};

/// One try at landing one work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landing {
    /// Its name.
    pub id: LandingId,
    /// What is to land.
    pub work: Work,
    /// The target that it is merged with.
    pub target: CommitId,
    /// How far it is.
    pub step: Step,
}

/// How far a landing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The merge is being made.
    Merging,
    /// A resolver is to be, or has been, asked about a conflict.
    Resolving {
        /// The files in conflict.
        files: Vec<ConflictedFile>,
        /// The merge with conflict markers.
        marked: CommitId,
        /// The resolver's claim, while it works.
        claim: Option<Claim>,
        /// How many resolvers have failed at it.
        failed: u32,
    },
    /// The checks run on the merged tree.
    Verifying {
        /// The merge.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
        /// What the work brings into it that something executes later.
        runs_later: RunsLater,
    },
    /// The target is being moved.
    Advancing {
        /// Where it goes.
        commit: CommitId,
    },
}

impl Step {
    /// The checks of a merge.
    pub(crate) fn verifying(commit: &CommitId, tree: &TreeId, runs_later: &RunsLater) -> Self {
        let (commit, tree) = (commit.clone(), tree.clone());
        Self::Verifying { commit, tree, runs_later: runs_later.clone() }
    }
}

impl Landing {
    /// The effect that this step wants.
    pub fn effect(&self) -> Option<EffectId> {
        match &self.step {
            Step::Merging => Some(self.id.step("merge")),
            Step::Resolving { claim, .. } => claim.as_ref().map(Claim::effect),
            Step::Verifying { .. } => Some(self.id.step("verify")),
            Step::Advancing { .. } => Some(self.id.step("advance")),
        }
    }

    /// What that effect is to do.
    pub fn action(&self, run: &Run, task: &Task) -> Option<Action> {
        Some(match &self.step {
            Step::Merging => Action::Merge(Merge {
                landing: self.id.clone(),
                task: task.spec.clone(),
                target: self.target.clone(),
                work: self.work.commit.clone(),
            }),
            Step::Resolving { files, marked, claim, failed: _ } => {
                let conflict = Conflict {
                    files: files.clone(),
                    base: task.base.clone()?,
                    target: self.target.clone(),
                    work: self.work.commit.clone(),
                    marked: marked.clone(),
                };
                task.attempt_action(claim.as_ref()?, Some(conflict))
            }
            Step::Verifying { commit, tree, runs_later: _ } => Action::Verify {
                landing: self.id.clone(),
                task: task.spec.id.clone(),
                commit: commit.clone(),
                tree: tree.clone(),
                checks: run.landing_checks(),
            },
            Step::Advancing { commit } => Action::Advance {
                landing: self.id.clone(),
                task: task.spec.id.clone(),
                from: self.target.clone(),
                to: commit.clone(),
            },
        })
    }

    /// The same landing one step further.
    pub(crate) fn at(&self, step: Step) -> TaskState {
        TaskState::Landing(Box::new(Self { step, ..self.clone() }))
    }

    /// The landing with the resolver that it asked for.
    pub(crate) fn with_resolver(&self, resolver: Claim) -> TaskState {
        let mut landing = self.clone();
        if let Step::Resolving { claim, .. } = &mut landing.step {
            *claim = Some(resolver);
        }
        TaskState::Landing(Box::new(landing))
    }

    /// The landing once its resolver has ended; the next event says what comes of it.
    pub(crate) fn without_resolver(&self) -> Option<TaskState> {
        let mut landing = self.clone();
        let Step::Resolving { claim, failed, .. } = &mut landing.step else { return None };
        *claim = None;
        *failed += 1;
        Some(TaskState::Landing(Box::new(landing)))
    }
}
