//! Nodes of the work graph, as they are answered.

use cxo_core::shared::graph::{Graph, Node};
use cxo_protocol::graph::{Approval, ChecklistItem};
use cxo_protocol::params::graph::{ClaimView, NodeSummary, NodeView, Wait};

/// Checkpoints that are answered of a case, the newest.
const CHECKPOINTS_SHOWN: usize = 8;

/// Snapshots that are answered of a node, the newest.
const SNAPSHOTS_SHOWN: usize = 4;

/// A node in short.
pub(super) fn short(graph: &Graph, node: &Node) -> NodeSummary {
    let claim = graph.claims.get(node.id).map(|claim| ClaimView {
        session_id: claim.session.clone(),
        fence: claim.fence,
        expires_at: claim.expires_at,
    });
    let waits_for = node.waits_for.iter().map(|(node, link)| Wait { node_id: *node, link: *link });
    NodeSummary {
        id: node.id,
        level: node.level,
        title: node.title.clone(),
        status: node.status,
        priority: node.priority,
        parent_id: node.parent,
        children: (node.tally.all() > 0).then_some(node.tally),
        waits_for: waits_for.collect(),
        waits: node.waits(),
        claim,
        facet: node.details.facet.clone(),
        approval: (node.approval != Approval::Unasked).then_some(node.approval),
        merged_commit: node.merged.clone(),
        changed_at: node.changed_at,
    }
}

/// A node in full.
pub(super) fn whole(graph: &Graph, node: &Node) -> NodeView {
    let details = node.details.clone();
    NodeView {
        node: short(graph, node),
        created_by: node.by.clone(),
        created_at: node.created_at,
        summary: details.summary,
        risk_level: details.risk,
        token_estimate: details.token_estimate,
        affected_files: details.affected_files.unwrap_or_default(),
        owner_session_id: details.owner_session,
        assignee_session: details.assignee_session,
        worktree_id: details.worktree,
        unmet: graph.waits_for(node.id),
        checklist: checklist(node),
        snapshots: newest(&node.snapshots, SNAPSHOTS_SHOWN),
        contract: node.contract.clone(),
        checkpoints: newest(&node.checkpoints, CHECKPOINTS_SHOWN),
        artifacts: node.artifacts.clone(),
    }
}

/// The checklist of a node, in order.
pub(super) fn checklist(node: &Node) -> Vec<ChecklistItem> {
    let mut items: Vec<ChecklistItem> = node.checklist.values().cloned().collect();
    items.sort_by_key(|item| item.order_no);
    items
}

fn newest<T: Clone>(kept: &std::collections::VecDeque<T>, count: usize) -> Vec<T> {
    kept.iter().skip(kept.len().saturating_sub(count)).cloned().collect()
}
