//! How things end and what is asked on the way: the parts of events that have states of their own.

use serde::{Deserialize, Serialize};

use crate::{AgentFailure, CommitId, Kept, Receipt, RunsLater, Work};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AttemptEnd {
    /// The agent finished its turn and the workspace differs from its base.
    Finished {
        /// What it made.
        work: Work,
        /// The agent's last message, sanitised and cut.
        message: String,
    },
    /// The agent finished its turn and the workspace is as its base was.
    Unchanged {
        /// The agent's last message, sanitised and cut.
        message: String,
    },
    /// The agent finished its turn but left conflict markers.
    MarkersLeft {
        /// What it made; pinned, not landed.
        work: Work,
        /// The files with markers.
        files: Vec<String>,
    },
    /// The agent did not finish its turn.
    Failed {
        /// How.
        failure: AgentFailure,
        /// What it had made so far, pinned; absent when it had changed nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<Work>,
    },
    /// It was ended because a person cancelled.
    Cancelled,
    /// The orchestrator could not do its part.
    Broken {
        /// What went wrong.
        message: String,
    },
}

/// Why a landing ended without its task being merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LandingEnd {
    /// The checks failed on the merged tree.
    Red,
    /// The resolver made a resolution, which takes the place of the work and is landed in turn.
    Resolved {
        /// How much of each side was kept, file by file.
        kept: Vec<Kept>,
    },
    /// The conflict was not resolved.
    Conflict {
        /// Why.
        why: String,
    },
    /// The checks passed, but the work brings files that something executes later: a person is
    /// asked first, and other works land meanwhile.
    Held,
    /// What had landed meanwhile already holds all of the work.
    Empty,
    /// The target was not where it was expected; the work is queued again.
    Moved,
    /// A person cancelled the task or the run.
    Cancelled,
    /// The orchestrator could not do its part.
    Broken {
        /// What went wrong.
        message: String,
    },
}

/// Why a question is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Topic {
    /// A resolution drops lines of one side: take it all the same?
    DroppedLines {
        /// The resolution.
        work: Work,
        /// How much of each side was kept.
        kept: Vec<Kept>,
    },
    /// A work brings files that something executes later, outside of every sandbox: land it? A yes
    /// is for this commit and these files only.
    RunsLater {
        /// The work.
        work: Work,
        /// The files.
        files: RunsLater,
    },
    /// The agent is not signed in: sign in, then answer `retry`.
    SignIn {
        /// The agent's name.
        agent: String,
        /// What it said.
        message: String,
    },
}

impl Topic {
    /// The work that an answer is about. A yes has to name it.
    pub fn work(&self) -> Option<&Work> {
        match self {
            Self::DroppedLines { work, .. } | Self::RunsLater { work, .. } => Some(work),
            Self::SignIn { .. } => None,
        }
    }
}

/// What a person answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Go on: take the work, or try again.
    Yes,
    /// Do not: the task fails.
    No,
}

/// Why a task ended without a change of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unchanged {
    /// The agent changed nothing.
    ByAgent,
    /// What had landed before already held it.
    AlreadyLanded,
    /// A person skipped it.
    Skipped,
    /// The workspace kind has nothing to land.
    NothingToLand,
}

/// How a result was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Published {
    /// The branch was written.
    Branch {
        /// Its name.
        branch: String,
        /// What it points to.
        commit: CommitId,
    },
    /// The branch is checked out by the user, or exists with other content, and was left alone.
    KeptInHub {
        /// The branch that was meant.
        branch: String,
        /// The ref in the hub that holds the result.
        hub_ref: String,
        /// What it points to.
        commit: CommitId,
        /// Why the branch was not written.
        why: String,
    },
    /// Nothing landed, so there is no result.
    Nothing,
}

/// The state in which a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// Every task is merged or needed no change.
    Done,
    /// Something failed or was blocked; what could land has landed.
    Failed,
    /// A person cancelled it.
    Cancelled,
    /// It was only to be planned.
    Planned,
}

/// Why a run ended before its tasks did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunFailure {
    /// The base could not be prepared.
    Base {
        /// Why.
        message: String,
    },
    /// The base does not pass the checks.
    RedBase {
        /// What failed.
        receipts: Vec<Receipt>,
    },
    /// No valid plan came out of the planner.
    NoPlan {
        /// The errors of its last answer, or why it could not answer.
        errors: Vec<String>,
    },
    /// The result could not be published; what landed is kept in the hub.
    NotPublished {
        /// Why.
        message: String,
    },
}
