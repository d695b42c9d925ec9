//! The plan: what a planner answers, what a plan file holds, what a run follows.

use serde::{Deserialize, Serialize};

use crate::TaskId;

/// A graph of tasks that together reach a goal. Also the format of plan files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the plan does, in a sentence or two.
    pub summary: String,
    /// The tasks, in the order in which ties are broken.
    #[serde(alias = "subtasks")]
    pub tasks: Vec<PlanTask>,
}

/// One task of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanTask {
    /// Unique in the plan.
    pub id: TaskId,
    /// One line for people.
    pub title: String,
    /// What is to be done, for the agent.
    #[serde(default)]
    pub description: String,
    /// Paths and globs (`*`, `**`) relative to the repository's root that the task will write.
    /// Empty means unknown.
    #[serde(default)]
    pub files: Vec<String>,
    /// Tasks whose landed work this one needs.
    #[serde(default)]
    pub depends_on: Vec<TaskId>,
    /// How a reader can tell that the task is done.
    #[serde(default)]
    pub acceptance: Vec<String>,
    /// The name of the agent to use, where it is not the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// A guess of the time one agent needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_minutes: Option<u32>,
    /// Tasks of a group with a lower number come first. Read from older plan files only: it is
    /// turned into `depends_on` when the plan is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_group: Option<u32>,
}

impl PlanTask {
    /// A task that says nothing but its title.
    pub fn new(id: TaskId, title: impl Into<String>) -> Self {
        Self {
            id,
            title: title.into(),
            description: String::new(),
            files: Vec::new(),
            depends_on: Vec::new(),
            acceptance: Vec::new(),
            agent: None,
            estimate_minutes: None,
            parallel_group: None,
        }
    }
}

/// A dependency that nobody wrote: two tasks may write the same file, so one waits for the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AddedEdge {
    /// Goes first.
    pub before: TaskId,
    /// Waits.
    pub after: TaskId,
    /// The path or glob that both touch, as the waiting task writes it.
    pub path: String,
}
