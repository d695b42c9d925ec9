//! What is told of the work graph.

use serde::{Deserialize, Serialize};

use crate::graph::{Approval, ClaimEnd, Level, Link, NodeId, Status};
use crate::{CommitId, SessionId, Timestamp};

/// See `graph.changed`. How a node with children stands follows from what is told of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum GraphNews {
    /// A node is there.
    Created {
        /// The node.
        node_id: NodeId,
        /// What it is.
        level: Level,
        /// What contains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_id: Option<NodeId>,
        /// Its title.
        title: String,
        /// How it stands.
        status: Status,
    },
    /// Something of a node is said anew: look at it with `graph.node.list` or `task.get`.
    Changed {
        /// The node.
        node_id: NodeId,
    },
    /// A node has another parent, or none.
    Moved {
        /// The node.
        node_id: NodeId,
        /// What contains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_id: Option<NodeId>,
    },
    /// A node without children, a case or a step stands otherwise.
    Status {
        /// The node.
        node_id: NodeId,
        /// How it stands.
        status: Status,
    },
    /// The work of a node is merged.
    Merged {
        /// The node.
        node_id: NodeId,
        /// The commit that holds it.
        commit: CommitId,
    },
    /// The result of a node was submitted, approved or rejected.
    Approval {
        /// The node.
        node_id: NodeId,
        /// Which.
        approval: Approval,
    },
    /// A node waits for another.
    Linked {
        /// Which waits.
        node_id: NodeId,
        /// For which.
        waits_for: NodeId,
        /// Why.
        #[serde(flatten)]
        link: Link,
    },
    /// A node waits for another no more.
    Unlinked {
        /// Which waited.
        node_id: NodeId,
        /// For which.
        waits_for: NodeId,
    },
    /// A session holds a case from now on.
    Claimed {
        /// The case.
        node_id: NodeId,
        /// Who holds it.
        session_id: SessionId,
        /// Larger than every fence of a claim before it.
        fence: u64,
        /// When the claim ends by itself.
        expires_at: Timestamp,
    },
    /// Nobody holds a case.
    Released {
        /// The case.
        node_id: NodeId,
        /// Why.
        why: ClaimEnd,
    },
    /// Where the work on a case stands was written down.
    Checkpoint {
        /// The case.
        node_id: NodeId,
        /// The how manieth of the case.
        number: u32,
        /// By whom.
        session_id: SessionId,
    },
}
