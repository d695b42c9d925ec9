//! What the methods of the work graph are given and what they answer.

use serde::{Deserialize, Serialize};

use crate::graph::{
    Approval, ChecklistItem, Checkpoint, Contract, DependsMode, Details, EdgeType, Level, Link,
    NodeId, Risk, Snapshot, Status, Tally,
};
use crate::{CommitId, Principal, SessionId, SessionName, Timestamp};

/// Nodes on a page, if nobody says otherwise.
pub const DEFAULT_PAGE: u32 = 50;

/// The most nodes on a page.
pub const MAX_PAGE: u32 = 200;

/// See `task.create` and `graph.node.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeCreate {
    /// What it is.
    #[serde(alias = "node_type")]
    pub level: Level,
    /// Its title.
    pub title: String,
    /// What is to contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<NodeId>,
    /// The larger the sooner; at most 1000.
    #[serde(default)]
    pub priority: u32,
    /// How it stands, if it is not `todo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What it is about, in some sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Which side of the work it belongs to, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// How much can go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<Risk>,
    /// How many tokens of context it is thought to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<u64>,
    /// The files that it is thought to touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_files: Option<Vec<String>>,
    /// The session that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session_id: Option<SessionName>,
    /// The session that is meant to do it: a wish and no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_session: Option<SessionName>,
    /// The worktree in which it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_id: Option<u64>,
    /// Nothing but `none`: what is approved is decided by `plan.rollup.approve` and `plan.rollup.reject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_state: Option<Approval>,
}

impl NodeCreate {
    /// What is known of the node beside its title, its place, its status and its sessions.
    pub fn details(&self) -> Details {
        Details {
            summary: self.summary.clone(),
            facet: self.facet.clone(),
            risk: self.risk_level,
            token_estimate: self.token_estimate,
            affected_files: self.affected_files.clone(),
            worktree: self.worktree_id,
            ..Details::default()
        }
    }
}

/// See `task.update` and `graph.node.update`. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeUpdate {
    /// The node.
    #[serde(alias = "task_id")]
    pub node_id: NodeId,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// How it stands. A node with children stands as they do; a case becomes `done` by `case.complete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The commit by which its work is merged; what it contains and is done is merged with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_commit: Option<CommitId>,
    /// What it is about, in some sentences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Which side of the work it belongs to, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// How much can go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<Risk>,
    /// How many tokens of context it is thought to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<u64>,
    /// The files that it is thought to touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected_files: Option<Vec<String>>,
    /// The session that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session_id: Option<SessionName>,
    /// The session that is meant to do it: a wish and no claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_session: Option<SessionName>,
    /// The worktree in which it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_id: Option<u64>,
}

impl NodeUpdate {
    /// What changes beside its title, its priority, its status and its sessions.
    pub fn details(&self) -> Details {
        Details {
            summary: self.summary.clone(),
            facet: self.facet.clone(),
            risk: self.risk_level,
            token_estimate: self.token_estimate,
            affected_files: self.affected_files.clone(),
            worktree: self.worktree_id,
            ..Details::default()
        }
    }
}

/// See `task.move`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeMove {
    /// The node.
    #[serde(alias = "task_id")]
    pub node_id: NodeId,
    /// What is to contain it. Without it, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<NodeId>,
}

/// See `task.list` and `graph.node.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeQuery {
    /// Only of this level.
    #[serde(default, alias = "node_type", skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Only those that stand so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Only of this facet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// Only what this node contains itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<NodeId>,
    /// Only behind this node: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<NodeId>,
    /// Nodes on the page, at most 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Nodes, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeList {
    /// A page of them.
    pub nodes: Vec<NodeSummary>,
    /// Ask again with this as `after`; absent on the last page. A page may be short and still have a
    /// next one: only so many nodes are looked at for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NodeId>,
}

/// See `task.get`, `plan.rollup.approve` and `plan.rollup.reject`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeName {
    /// The node.
    #[serde(alias = "task_id", alias = "parent_node_id")]
    pub node_id: NodeId,
}

/// A node, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeSummary {
    /// Its number.
    pub id: NodeId,
    /// What it is.
    pub level: Level,
    /// Its title.
    pub title: String,
    /// How it stands.
    pub status: Status,
    /// The larger the sooner.
    pub priority: u32,
    /// What contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<NodeId>,
    /// How its children stand; absent if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub children: Option<Tally>,
    /// What it waits for by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<Wait>,
    /// Whether it has to wait now, be it by itself or with what contains it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimView>,
    /// Which side of the work it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
    /// Whether its result was approved, once somebody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The commit by which it is merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_commit: Option<CommitId>,
    /// When something of it last changed by itself.
    pub changed_at: Timestamp,
}

/// What a node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Wait {
    /// The node that it waits for.
    pub node_id: NodeId,
    /// Why.
    #[serde(flatten)]
    pub link: Link,
}

/// Who does a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClaimView {
    /// The session.
    pub session_id: SessionId,
    /// Larger than every fence of a claim before it.
    pub fence: u64,
    /// When the claim ends by itself, if nothing is heard of the session.
    pub expires_at: Timestamp,
}

/// A node, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeView {
    /// The same in short.
    #[serde(flatten)]
    pub node: NodeSummary,
    /// Who made it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// How much can go wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_level: Option<Risk>,
    /// How many tokens of context it is thought to take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_estimate: Option<u64>,
    /// The files that it is thought to touch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affected_files: Vec<String>,
    /// The session that answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_session_id: Option<SessionId>,
    /// The session that is meant to do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee_session: Option<SessionId>,
    /// The worktree in which it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree_id: Option<u64>,
    /// What it waits for now, by itself and with what contains it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<NodeId>,
    /// Its checklist, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<ChecklistItem>,
    /// Its newest snapshots, the oldest of them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Snapshot>,
    /// What it was begun with, if it is a case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Its newest checkpoints, if it is a case, the oldest of them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<Checkpoint>,
    /// What it left, if it is a step that was checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
}

/// See `graph.edge.create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeCreate {
    /// The first: what contains, what waits, what blocks.
    pub from_node_id: NodeId,
    /// The second.
    pub to_node_id: NodeId,
    /// How they belong together.
    pub edge_type: EdgeType,
    /// How far a dependency has to be: done on its branch, or merged.
    #[serde(default = "on_branch")]
    pub mode: DependsMode,
}

fn on_branch() -> DependsMode {
    DependsMode::OnBranch
}

/// See `graph.edge.remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeRemove {
    /// The first.
    pub from_node_id: NodeId,
    /// The second.
    pub to_node_id: NodeId,
    /// How they belong together.
    pub edge_type: EdgeType,
}

/// See `graph.checklist.upsert`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChecklistUpsert {
    /// The node.
    pub node_id: NodeId,
    /// What is to be seen to; the name of the line.
    pub item_text: String,
    /// How it stands, if it is not `todo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Where it stands in the list.
    #[serde(default)]
    pub order_no: u32,
    /// Which side of the work it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<String>,
}

/// A checklist, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Checklist {
    /// Its lines.
    pub checklist: Vec<ChecklistItem>,
}

/// See `graph.snapshot.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotCreate {
    /// The node.
    pub node_id: NodeId,
    /// What for, in a word.
    pub snapshot_type: String,
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
