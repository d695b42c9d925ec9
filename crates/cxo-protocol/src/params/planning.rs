//! What the methods of plans and slices are given and what they answer.

use serde::{Deserialize, Serialize};

use super::graph::NodeSummary;
use crate::graph::{Approval, Details, NodeId, ReplanReason, Risk, Status, Tally};
use crate::{SessionId, SessionName};

/// See `plan.bootstrap`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanBootstrap {
    /// The title of the initiative.
    pub initiative_title: String,
    /// The title of its plan.
    pub plan_title: String,
    /// Of both; the larger the sooner.
    #[serde(default)]
    pub priority: u32,
    /// The session that answers for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session_id: Option<SessionName>,
    /// What the initiative is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

/// An initiative and its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlanBootstrapped {
    /// The initiative.
    pub initiative: NodeSummary,
    /// The plan.
    pub plan: NodeSummary,
}

/// See `plan.slice.generate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlicesGenerate {
    /// The plan.
    pub plan_node_id: NodeId,
    /// The session that answers for the slices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session_id: Option<SessionName>,
    /// The slices: all of them are made, or none.
    pub slice_specs: Vec<SliceSpec>,
}

/// A slice to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SliceSpec {
    /// Its title.
    pub title: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The larger the sooner.
    #[serde(default)]
    pub priority: u32,
    /// How many tokens of context it is thought to take.
    #[serde(default)]
    pub token_estimate: u64,
    /// The files that it is thought to touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected_files: Vec<String>,
    /// How much can go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<Risk>,
    /// Which side of the work it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// The slices before it in the same list that it waits for, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<usize>,
}

impl SliceSpec {
    /// What is known of the slice beside its title.
    pub fn details(&self, owner_session: Option<&SessionId>) -> Details {
        Details {
            summary: self.summary.clone(),
            facet: self.facet.clone(),
            risk: self.risk_level,
            token_estimate: Some(self.token_estimate),
            affected_files: Some(self.affected_files.clone()),
            owner_session: owner_session.cloned(),
            assignee_session: None,
            worktree: None,
        }
    }
}

/// Slices that were made or planned again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SliceList {
    /// Them, in order.
    pub slices: Vec<NodeSummary>,
}

/// See `plan.slice.replan`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SliceReplan {
    /// The slice.
    pub node_id: NodeId,
    /// Why.
    pub reason: ReplanReason,
    /// The files that it touches from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_files: Option<Vec<String>>,
    /// What is to be done next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
}

/// What came of a node and all that it contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RollupPreview {
    /// The node.
    pub node_id: NodeId,
    /// How it stands.
    pub status: Status,
    /// Whether its result was approved.
    pub approval: Approval,
    /// How the nodes below it stand.
    pub below: Tally,
    /// The tokens that those of them without children were thought to take.
    pub token_estimate: u64,
    /// The files that they were thought to touch, at most a thousand.
    pub affected_files: Vec<String>,
    /// Those of them without children that are not at their end, at most a hundred.
    pub open: Vec<NodeId>,
    /// Whether there were more nodes below it than are looked at.
    pub is_cut: bool,
}

/// See `plan.rollup.approve` and `plan.rollup.reject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollupJudge {
    /// The node.
    #[serde(alias = "task_id")]
    pub node_id: NodeId,
    /// The snapshot of the result that is meant. Refused if it is not the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u32>,
}

/// See `plan.rollup.submit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollupSubmit {
    /// The node.
    pub node_id: NodeId,
    /// What is to be said of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The files that it touched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected_files: Vec<String>,
    /// What is to be done next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
}
