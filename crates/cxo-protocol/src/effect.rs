//! Effects: what ought to be going on in the world, and their outcomes: what was seen of it.
//!
//! An effect is derived from state, and its id names it for ever: the executor looks for what an
//! effect of that id has already done before it does anything. Both are plain data, so that an
//! executor may live in this process or on another host.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    AgentFailure, AttemptEnd, AttemptId, AttemptRole, CheckCommand, CommitId, ConflictedFile,
    EffectId, Feedback, Kept, LandingId, PlanTask, Published, Receipt, RunId, RunOptions,
    RunsLater, TaskId, TreeId, Usage, Work,
};

/// Something to be done in the world for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its name and idempotency key.
    pub id: EffectId,
    /// The run that wants it.
    pub run: RunId,
    /// The run's settings.
    pub options: Arc<RunOptions>,
    /// What is to be done.
    pub action: Action,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Bring the base into the hub and pin it there and in the user's repository.
    PrepareBase {
        /// The revision, as the user gave it.
        rev: String,
    },
    /// Run the checks on the base.
    CheckBase {
        /// The base.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
    },
    /// Ask a planner.
    AskPlan(AskPlan),
    /// Have an agent work.
    RunAttempt(Box<RunAttempt>),
    /// Merge a work with the target, without moving the target.
    Merge(Merge),
    /// Run the checks on a merged tree.
    Verify {
        /// The landing.
        landing: LandingId,
        /// The task.
        task: TaskId,
        /// The merge.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
        /// What to run, in this order, up to the first that fails.
        checks: Vec<CheckCommand>,
    },
    /// Move the target, if it is still where it was.
    Advance {
        /// The landing.
        landing: LandingId,
        /// The task.
        task: TaskId,
        /// Where the target has to be.
        from: CommitId,
        /// Where it goes.
        to: CommitId,
    },
    /// Write the result branch into the user's repository, if it does not exist.
    Publish {
        /// What the result is.
        commit: CommitId,
        /// What was published of this run before, which may be replaced.
        previous: Option<CommitId>,
    },
}

/// Ask a planner for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskPlan {
    /// Which try, from 1.
    pub attempt: u32,
    /// What the planner looks at; absent without git.
    pub base: Option<CommitId>,
    /// What was wrong with the answer before.
    pub errors: Vec<String>,
    /// The thread to go on with.
    pub thread: Option<String>,
}

/// Have an agent work on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAttempt {
    /// The attempt.
    pub attempt: AttemptId,
    /// The task as it stands in the plan.
    pub task: Arc<PlanTask>,
    /// Who the agent is.
    pub role: AttemptRole,
    /// What the work is compared with and committed onto; absent without git.
    pub base: Option<CommitId>,
    /// Which content the workspace starts with.
    pub start: Start,
    /// The thread to go on with.
    pub thread: Option<String>,
    /// Usage of that thread before this attempt, for agents that count over a whole thread.
    pub used_before: Usage,
    /// Why the attempt is made again.
    pub feedback: Option<Feedback>,
    /// The conflict, for a resolver.
    pub conflict: Option<Conflict>,
}

/// Which content a workspace starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// A fresh workspace at the base.
    Base,
    /// The task's workspace as the attempt before left it.
    AsLeft,
    /// The task's workspace, put to the content of this commit.
    At(CommitId),
}

/// What a resolver is told, and held to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The files with markers; the only ones it may change.
    pub files: Vec<ConflictedFile>,
    /// What both sides started from.
    pub base: CommitId,
    /// The target: what had landed.
    pub target: CommitId,
    /// The work that conflicts with it.
    pub work: CommitId,
    /// The merge with conflict markers.
    pub marked: CommitId,
}

/// Merge a work with the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The landing.
    pub landing: LandingId,
    /// The task.
    pub task: Arc<PlanTask>,
    /// The target.
    pub target: CommitId,
    /// The work.
    pub work: CommitId,
}

/// What was seen of an effect at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of `PrepareBase`.
    Prepared {
        /// The base.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
    },
    /// Of `CheckBase` and `Verify`.
    Checked {
        /// One receipt per check that ran; after a failure the rest is not run.
        receipts: Vec<Receipt>,
    },
    /// Of `AskPlan`: the planner's answer, as it came.
    Planned {
        /// The JSON that it answered, or why there is none.
        answer: Result<serde_json::Value, PlanError>,
        /// The planner's thread.
        thread: Option<String>,
        /// What the try used.
        usage: Usage,
    },
    /// Of `RunAttempt` as a worker.
    Attempted {
        /// How it ended.
        end: AttemptEnd,
        /// The agent's thread.
        thread: Option<String>,
        /// What it used.
        usage: Usage,
    },
    /// Of `RunAttempt` as a resolver.
    Resolved {
        /// The resolution, or why there is none.
        end: Result<Resolution, Unresolved>,
        /// What it used.
        usage: Usage,
    },
    /// Of `Merge`: it merges cleanly.
    Merged {
        /// The merge.
        commit: CommitId,
        /// Its tree.
        tree: TreeId,
        /// What the work brings into it that something executes later.
        runs_later: RunsLater,
    },
    /// Of `Merge`: the target already holds all of the work.
    AlreadyThere,
    /// Of `Merge`: it does not merge.
    Conflicted {
        /// The merge with conflict markers.
        commit: CommitId,
        /// The files.
        files: Vec<ConflictedFile>,
    },
    /// Of `Advance`: the target is where it should be.
    Advanced,
    /// Of `Advance`: the target was not where it was expected.
    Moved {
        /// Where it is.
        actual: Option<CommitId>,
    },
    /// Of `Publish`.
    Published(Published),
    /// Of any: the orchestrator could not do its part.
    Broken {
        /// What went wrong, and what to do.
        message: String,
        /// What its agent was seen to have used, where one was at work.
        usage: Usage,
    },
}

impl Outcome {
    /// What an agent used, where one was at work.
    pub fn usage(&self) -> Option<Usage> {
        match self {
            Self::Planned { usage, .. }
            | Self::Attempted { usage, .. }
            | Self::Resolved { usage, .. }
            | Self::Broken { usage, .. } => Some(*usage),
            Self::Prepared { .. }
            | Self::Checked { .. }
            | Self::Merged { .. }
            | Self::AlreadyThere
            | Self::Conflicted { .. }
            | Self::Advanced
            | Self::Moved { .. }
            | Self::Published(_) => None,
        }
    }
}

/// Why a planner gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanError {
    /// The agent failed.
    Agent(AgentFailure),
    /// It answered, but not in JSON.
    NotJson {
        /// What the parser said.
        message: String,
    },
}

/// Why there is no resolution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unresolved {
    /// The resolver failed.
    Agent(AgentFailure),
    /// What the resolver left cannot be taken.
    Rejected {
        /// Why.
        why: String,
    },
}

/// What a resolver made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The resolved work: a commit on top of the target and the work.
    pub work: Work,
    /// How much of each side was kept, file by file.
    pub kept: Vec<Kept>,
}
