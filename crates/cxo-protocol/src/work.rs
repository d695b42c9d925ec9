//! What attempts made and what became of it: works, feedback, conflicts, failures of tasks.

use serde::{Deserialize, Serialize};

use crate::{AgentFailure, CommitId, TreeId};

/// What an attempt made: a commit in the hub, pinned by a ref.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Work {
    /// The commit that holds it.
    pub commit: CommitId,
    /// Its tree.
    pub tree: TreeId,
    /// What it changed.
    pub change: ChangeStat,
}

/// How much a change touches.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct ChangeStat {
    /// Files added, changed or removed.
    pub files: u64,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

/// Who an agent is in an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptRole {
    /// Makes the plan.
    Planner,
    /// Works on a task.
    Worker,
    /// Resolves a conflict between a task and what has landed, and belongs to neither.
    Resolver,
}

impl AttemptRole {
    /// The role as it stands in prompts and on screens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Planner => "planner",
            Self::Worker => "worker",
            Self::Resolver => "resolver",
        }
    }
}

/// Why an attempt is made again: put before the agent as data, never as an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Feedback {
    /// A check failed on the tree that holds this work and everything that had landed.
    ChecksFailed {
        /// The command.
        command: String,
        /// The failing lines of its output, sanitised.
        lines: Vec<String>,
    },
    /// Conflict markers were left in files that had none before.
    MarkersLeft {
        /// The files.
        files: Vec<String>,
    },
    /// The agent itself failed.
    AgentFailed {
        /// How.
        failure: AgentFailure,
    },
    /// The machine, the supervisor or the daemon died in the middle.
    Interrupted,
    /// A person asked for another try.
    Note {
        /// What the person wrote.
        text: String,
    },
}

/// Why a task could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskFailure {
    /// The agent failed too often, or in a way that trying again cannot help.
    Agent {
        /// The last failure.
        failure: AgentFailure,
    },
    /// The checks still failed after the last retry.
    Checks {
        /// The command that failed.
        command: String,
        /// The failing lines of its output, sanitised.
        lines: Vec<String>,
    },
    /// Conflict markers were still there after the last retry.
    Markers {
        /// The files.
        files: Vec<String>,
    },
    /// The work conflicts with what has landed, and the resolver did not resolve it.
    Conflict {
        /// The files.
        files: Vec<String>,
        /// What went wrong.
        why: String,
    },
    /// The person who was asked said no to the work.
    Refused,
    /// The orchestrator itself could not do its part (no space, a broken repository …).
    Broken {
        /// What went wrong.
        message: String,
    },
}

/// A file on which two changes disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConflictedFile {
    /// Relative to the repository's root.
    pub path: String,
    /// In git's words: `content`, `modify/delete`, `add/add`, `rename/rename` …
    pub kind: String,
}

/// How much of each side of a conflict a resolution kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Kept {
    /// The file.
    pub path: String,
    /// Lines of what had landed that the resolution kept.
    pub landed_kept: u64,
    /// Lines that what had landed added or changed.
    pub landed_of: u64,
    /// Lines of the task that the resolution kept.
    pub task_kept: u64,
    /// Lines that the task added or changed.
    pub task_of: u64,
}

impl Kept {
    /// Whether lines of either side are missing from the resolution.
    pub fn drops_lines(&self) -> bool {
        self.landed_kept < self.landed_of || self.task_kept < self.task_of
    }
}
