//! What the methods of cases are given and what they answer.

use serde::{Deserialize, Serialize};

use super::graph::NodeSummary;
use crate::graph::{Checkpoint, Contract, NodeId, StepResult};
use crate::{SessionName, Timestamp};

/// See `resume.next`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeNext {
    /// The session that is to do it: one of the caller's. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// The case that a session is to do, and all that it needs to go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NextCase {
    /// The case; absent when none can be taken now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<NodeSummary>,
    /// The fence under which it is held: a call that names it is refused when somebody else has the case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// When the claim ends by itself, if nothing is heard of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What it was begun with; absent if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// The steps that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<NodeSummary>,
    /// Where the work stood last; absent if nothing was done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// How many more cases can be taken now.
    pub ready: u64,
}

/// See `case.begin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseBegin {
    /// The case.
    pub case_id: NodeId,
    /// The session that does it: one of the caller's. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
    /// The fence of the claim, so that a late call is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
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

/// See `step.check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepCheck {
    /// The case.
    pub case_id: NodeId,
    /// The session that does it: one of the caller's. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
    /// The fence of the claim, so that a late call is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// The step's title. A step of another title is made.
    pub step_title: String,
    /// What came of it. A failed result is a failed step; it can be checked again.
    pub result: StepResult,
    /// What it left: logs, files, addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Files that whoever goes on has to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
}

/// See `case.complete`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseComplete {
    /// The case.
    pub case_id: NodeId,
    /// The session that does it: one of the caller's. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
    /// The fence of the claim, so that a late call is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// What was done.
    pub summary: String,
    /// What is to be done next, in a sentence.
    pub next_action: String,
    /// Files that whoever goes on has to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
}

/// Where a case stands after a call about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CaseStanding {
    /// The case.
    pub case: NodeSummary,
    /// The fence under which it is held; absent once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// The checkpoint that the call wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
}
