//! The facts about the work graph. What follows from them (the status of a node with children, what
//! is ready) is computed and not a fact of its own.

use serde::{Deserialize, Serialize};

use super::{
    Approval, ChecklistItem, Checkpoint, ClaimEnd, Contract, Details, Level, Link, NodeId,
    Snapshot, Status,
};
use crate::{CommitId, Principal, SessionId, Timestamp};

/// A fact about the work graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type")]
pub enum GraphEvent {
    /// A node is there.
    #[serde(rename = "node.created")]
    NodeCreated {
        /// The node.
        node: NodeId,
        /// What it is.
        level: Level,
        /// What contains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<NodeId>,
        /// Its title.
        title: String,
        /// The larger the sooner.
        priority: u32,
        /// How it stands.
        status: Status,
        /// What else is known of it.
        details: Details,
        /// Who made it.
        by: Principal,
    },
    /// Something of a node is said anew.
    #[serde(rename = "node.changed")]
    NodeChanged {
        /// The node.
        node: NodeId,
        /// Its title from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its priority from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        priority: Option<u32>,
        /// What else.
        details: Details,
    },
    /// A node has another parent, or none.
    #[serde(rename = "node.moved")]
    NodeMoved {
        /// The node.
        node: NodeId,
        /// What contained it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<NodeId>,
        /// What contains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<NodeId>,
    },
    /// A node without children, a case or a step stands otherwise.
    #[serde(rename = "node.status_set")]
    StatusSet {
        /// The node.
        node: NodeId,
        /// How it stands.
        status: Status,
    },
    /// The work of a node is merged.
    #[serde(rename = "node.merged")]
    NodeMerged {
        /// The node.
        node: NodeId,
        /// The commit that holds it.
        commit: CommitId,
    },
    /// Whether the result of a node was approved.
    #[serde(rename = "node.approval_set")]
    ApprovalSet {
        /// The node.
        node: NodeId,
        /// Whether.
        approval: Approval,
    },
    /// A node waits for another.
    #[serde(rename = "edge.added")]
    EdgeAdded {
        /// Which waits.
        waits: NodeId,
        /// For which.
        awaits: NodeId,
        /// Why.
        link: Link,
    },
    /// A node waits for another no more.
    #[serde(rename = "edge.removed")]
    EdgeRemoved {
        /// Which waited.
        waits: NodeId,
        /// For which.
        awaits: NodeId,
    },
    /// A line of a node's checklist was written, or written anew.
    #[serde(rename = "checklist.put")]
    ChecklistPut {
        /// The node.
        node: NodeId,
        /// The line.
        item: ChecklistItem,
    },
    /// It was noted how a node stands.
    #[serde(rename = "snapshot.taken")]
    SnapshotTaken {
        /// The node.
        node: NodeId,
        /// How it stands.
        snapshot: Snapshot,
    },
    /// A session took a case.
    #[serde(rename = "case.claimed")]
    CaseClaimed {
        /// The case.
        case: NodeId,
        /// Who holds it.
        session: SessionId,
        /// Larger than every fence of a claim before it.
        fence: u64,
        /// When the claim ends by itself.
        expires_at: Timestamp,
    },
    /// Who holds a case is there: it is held for longer.
    #[serde(rename = "claim.renewed")]
    ClaimRenewed {
        /// The case.
        case: NodeId,
        /// When the claim ends by itself.
        expires_at: Timestamp,
    },
    /// A case is held by another session from now on, under a fence of its own.
    #[serde(rename = "claim.handed_over")]
    ClaimHandedOver {
        /// The case.
        case: NodeId,
        /// Who holds it.
        session: SessionId,
        /// Larger than every fence of a claim before it.
        fence: u64,
        /// When the claim ends by itself.
        expires_at: Timestamp,
    },
    /// Nobody holds a case.
    #[serde(rename = "claim.released")]
    ClaimReleased {
        /// The case.
        case: NodeId,
        /// Why.
        why: ClaimEnd,
    },
    /// It was said what a case is begun with.
    #[serde(rename = "case.begun")]
    CaseBegun {
        /// The case.
        case: NodeId,
        /// With what.
        contract: Contract,
    },
    /// Where the work on a case stands was written down. What a session is to go on with is in here.
    #[serde(rename = "checkpoint.written")]
    CheckpointWritten {
        /// The case.
        case: NodeId,
        /// Where it stands.
        checkpoint: Checkpoint,
    },
}

impl GraphEvent {
    /// The name of its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NodeCreated { .. } => "node.created",
            Self::NodeChanged { .. } => "node.changed",
            Self::NodeMoved { .. } => "node.moved",
            Self::StatusSet { .. } => "node.status_set",
            Self::NodeMerged { .. } => "node.merged",
            Self::ApprovalSet { .. } => "node.approval_set",
            Self::EdgeAdded { .. } => "edge.added",
            Self::EdgeRemoved { .. } => "edge.removed",
            Self::ChecklistPut { .. } => "checklist.put",
            Self::SnapshotTaken { .. } => "snapshot.taken",
            Self::CaseClaimed { .. } => "case.claimed",
            Self::ClaimRenewed { .. } => "claim.renewed",
            Self::ClaimHandedOver { .. } => "claim.handed_over",
            Self::ClaimReleased { .. } => "claim.released",
            Self::CaseBegun { .. } => "case.begun",
            Self::CheckpointWritten { .. } => "checkpoint.written",
        }
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<NodeId> {
        match self {
            Self::NodeMoved { node, from, to } => {
                [Some(*node), *from, *to].into_iter().flatten().collect()
            }
            Self::NodeCreated { node, .. }
            | Self::NodeChanged { node, .. }
            | Self::StatusSet { node, .. }
            | Self::NodeMerged { node, .. }
            | Self::ApprovalSet { node, .. }
            | Self::ChecklistPut { node, .. }
            | Self::SnapshotTaken { node, .. } => vec![*node],
            Self::EdgeAdded { waits, awaits, .. } | Self::EdgeRemoved { waits, awaits } => {
                vec![*waits, *awaits]
            }
            Self::CaseClaimed { case, .. }
            | Self::ClaimRenewed { case, .. }
            | Self::ClaimHandedOver { case, .. }
            | Self::ClaimReleased { case, .. }
            | Self::CaseBegun { case, .. }
            | Self::CheckpointWritten { case, .. } => vec![*case],
        }
    }
}
