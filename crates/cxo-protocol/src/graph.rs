//! The work graph: what is to be done, in levels that contain each other and wait for each other,
//! and the facts about it. All its sets of words are closed: a word that is not in them is refused
//! where it comes in.

mod event;
mod words;

use serde::{Deserialize, Serialize};

use crate::{SessionId, Timestamp};

pub use event::GraphEvent;
pub use words::{
    Approval, ClaimEnd, DependsMode, EdgeType, Level, Link, ReplanReason, Risk, Status, StepResult,
    Verdict,
};

/// A node of the work graph: a small number, counted up in the repository and never given twice.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct NodeId(pub u64);

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What is known of a node beside its title, its place and its status. A field that is absent was
/// not said; in a change it stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Details {
    /// What it is about, in some sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Which side of the work it belongs to, as whoever plans sorts it: `backend`, `planning` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// How much can go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// How many tokens of context it is thought to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<u64>,
    /// The files that it is thought to touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_files: Option<Vec<String>>,
    /// The session that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session: Option<SessionId>,
    /// The session that is meant to do it. A wish and no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_session: Option<SessionId>,
    /// The worktree in which it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<u64>,
}

impl Details {
    /// Takes over what a change says.
    pub fn take(&mut self, change: &Self) {
        fn take<T: Clone>(field: &mut Option<T>, change: Option<&T>) {
            if let Some(new) = change {
                *field = Some(new.clone());
            }
        }
        take(&mut self.summary, change.summary.as_ref());
        take(&mut self.facet, change.facet.as_ref());
        take(&mut self.risk, change.risk.as_ref());
        take(&mut self.token_estimate, change.token_estimate.as_ref());
        take(&mut self.affected_files, change.affected_files.as_ref());
        take(&mut self.owner_session, change.owner_session.as_ref());
        take(&mut self.assignee_session, change.assignee_session.as_ref());
        take(&mut self.worktree, change.worktree.as_ref());
    }
}

/// What a case was begun with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Contract {
    /// What the case is given and has to hold to, as JSON.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub input_contract: serde_json::Value,
    /// Data that it is tried with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fixtures: Vec<String>,
    /// Files that whoever goes on has to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
}

/// Where the work on a case stood: enough to go on from there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Checkpoint {
    /// The how manieth of the case, from 1.
    pub number: u32,
    /// When it was written.
    pub written_at: Timestamp,
    /// The session that held the case.
    pub session_id: SessionId,
    /// The fence of its claim.
    pub fence: u64,
    /// What was reached.
    #[serde(flatten)]
    pub reached: Reached,
    /// What is to be done next, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    /// Files that whoever goes on has to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
}

/// What a checkpoint says was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "reached", rename_all = "snake_case")]
pub enum Reached {
    /// The case was begun.
    Begun,
    /// A step was checked.
    StepChecked {
        /// The step.
        step: NodeId,
        /// Its title.
        step_title: String,
        /// What came of it.
        result: StepResult,
        /// What it left: logs, files, addresses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<String>,
    },
    /// The case is done.
    Completed {
        /// What was done.
        summary: String,
    },
}

/// A line of a node's checklist. Its text is its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChecklistItem {
    /// What is to be seen to.
    pub item_text: String,
    /// How it stands.
    pub status: Status,
    /// Where it stands in the list; equal ones by text.
    pub order_no: u32,
    /// Which side of the work it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
}

/// How a node stood at a moment, kept for whoever looks back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Snapshot {
    /// The how manieth of the node, from 1.
    pub number: u32,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// What for, in a word.
    pub snapshot_type: String,
    /// The status of the node.
    pub status: Status,
    /// How many of its children had which status.
    pub children: Tally,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The files that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected_files: Vec<String>,
    /// What is to be done next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
}

/// How many nodes have which status.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(default)]
pub struct Tally {
    /// Not begun.
    pub todo: u32,
    /// Begun.
    pub in_progress: u32,
    /// Set aside until something else is seen to.
    pub blocked: u32,
    /// Done.
    pub done: u32,
    /// Could not be done.
    pub failed: u32,
    /// Not wanted any more.
    pub cancelled: u32,
}

impl Tally {
    /// How many of one status.
    pub fn of(&self, status: Status) -> u32 {
        match status {
            Status::Todo => self.todo,
            Status::InProgress => self.in_progress,
            Status::Blocked => self.blocked,
            Status::Done => self.done,
            Status::Failed => self.failed,
            Status::Cancelled => self.cancelled,
        }
    }

    /// The place where one status is counted.
    pub fn of_mut(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::Todo => &mut self.todo,
            Status::InProgress => &mut self.in_progress,
            Status::Blocked => &mut self.blocked,
            Status::Done => &mut self.done,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
        }
    }

    /// How many there are.
    pub fn all(&self) -> u32 {
        Status::ALL.iter().map(|status| self.of(*status)).sum()
    }

    /// How many are not at their end.
    pub fn open(&self) -> u32 {
        self.todo + self.in_progress + self.blocked
    }
}
