//! What a run was asked to do, frozen when it starts: later changes of the configuration, or of
//! the files that an agent can reach, do not change a run that is under way.

use serde::{Deserialize, Serialize};

use crate::CheckCommand;

/// The settings of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunOptions {
    /// What the user asked for, word by word. May be empty when a plan file was given.
    pub goal: String,
    /// The revision to start from, as it was given.
    pub base: String,
    /// How many worker agents may run at once.
    pub jobs: u32,
    /// The name of the agent that plans, works and resolves where a task names no other.
    pub agent: String,
    /// The commands that a tree must pass before it lands, in this order. Empty: unchecked.
    pub checks: Vec<CheckCommand>,
    /// How often a task is tried again after its work failed.
    pub retries: u32,
    /// What to do when the base itself does not pass the checks.
    pub red_base: RedBase,
    /// What an attempt works in.
    pub workspace: WorkspaceKind,
    /// Commands that prepare a fresh workspace, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<CheckCommand>,
    /// Time limits.
    pub limits: TimeLimits,
    /// The hash of the commands and agents' settings that the repository brought and nobody has
    /// approved yet; the run waits until somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unapproved: Option<String>,
    /// Whether the plan is shown and waits for a yes before any worker starts.
    pub plan_approval: PlanApproval,
}

/// What to do when the base itself is red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedBase {
    /// End the run before anything is spent.
    Stop,
    /// Go on: checks that failed on the base do not count against a task.
    GoOn,
}

/// Whether a plan needs a person's yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanApproval {
    /// Wait for it.
    Ask,
    /// It was given beforehand.
    Given,
    /// Plan only: the run ends with the plan and starts nothing.
    PlanOnly,
}

/// What an attempt works in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceKind {
    /// A clone of the hub of its own.
    Clone,
    /// A linked worktree of the hub.
    Worktree,
    /// An empty directory, no git: nothing is landed.
    None,
}

/// Time limits in milliseconds; 0 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimeLimits {
    /// The longest an attempt may run.
    pub attempt_ms: u64,
    /// The longest an attempt may stay silent.
    pub silence_ms: u64,
    /// The longest one check may run.
    pub check_ms: u64,
}
