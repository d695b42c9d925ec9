//! Rows of the work graph.

use std::collections::BTreeSet;

use cxo_core::Fact;
use cxo_core::shared::graph::{Graph, Node};
use cxo_protocol::SharedEvent;
use cxo_protocol::graph::{Checkpoint, GraphEvent, NodeId, Reached};
use cxo_protocol::params::graph::Wait;
use cxo_protocol::rows::{CheckpointRow, NodeRow, Row};
use serde::Serialize;

/// The rows that a group changes in the work graph, which is as the group left it.
pub(crate) fn rows(graph: &Graph, facts: &[Fact]) -> Vec<Row> {
    let events = facts.iter().filter_map(Fact::of_shared).filter_map(|stamped| {
        if let SharedEvent::Graph(event) = &stamped.event { Some(event) } else { None }
    });
    let mut changed: BTreeSet<NodeId> = BTreeSet::new();
    let mut rows = Vec::new();
    for event in events {
        changed.extend(graph.changed_by(event));
        if let GraphEvent::CheckpointWritten { case, checkpoint } = event {
            rows.push(Row::Checkpoint(checkpoint_row(*case, checkpoint)));
        }
    }
    let changed = changed.into_iter().filter_map(|id| graph.get(id));
    rows.extend(changed.map(|node| Row::Node(node_row(graph, node))));
    rows
}

fn node_row(graph: &Graph, node: &Node) -> NodeRow {
    let claim = graph.claims.get(node.id);
    let waits = node.waits_for.iter().map(|(node, link)| Wait { node_id: *node, link: *link });
    let details = &node.details;
    let name = |session: &cxo_protocol::SessionId| session.to_string();
    NodeRow {
        node: node.id.0,
        level: node.level.to_string(),
        parent: node.parent.map(|parent| parent.0),
        title: node.title.clone(),
        status: node.status.to_string(),
        priority: node.priority.into(),
        waits_for: json(&waits.collect::<Vec<_>>()),
        held_by: claim.map(|claim| name(&claim.session)),
        fence: claim.map(|claim| claim.fence),
        held_until: claim.map(|claim| claim.expires_at),
        approval: node.approval.to_string(),
        merged_commit: node.merged.clone(),
        summary: details.summary.clone(),
        facet: details.facet.clone(),
        risk: details.risk.map(|risk| risk.to_string()),
        token_estimate: details.token_estimate,
        affected_files: json(&details.affected_files.as_deref().unwrap_or_default()),
        owner_session: details.owner_session.as_ref().map(name),
        assignee_session: details.assignee_session.as_ref().map(name),
        created_by: node.by.to_string(),
        created_at: node.created_at,
        changed_at: node.changed_at,
    }
}

fn checkpoint_row(case: NodeId, checkpoint: &Checkpoint) -> CheckpointRow {
    let mut row = CheckpointRow {
        node: case.0,
        number: checkpoint.number.into(),
        session: checkpoint.session_id.to_string(),
        fence: checkpoint.fence,
        reached: String::new(),
        step: None,
        result: None,
        summary: None,
        next_action: checkpoint.next_action.clone(),
        artifacts: json(&[(); 0]),
        required_files: json(&checkpoint.required_files),
        written_at: checkpoint.written_at,
    };
    let reached = match &checkpoint.reached {
        Reached::Begun => "begun",
        Reached::StepChecked { step, result, artifacts, .. } => {
            row.step = Some(step.0);
            row.result = Some(result.to_string());
            row.artifacts = json(artifacts);
            "step_checked"
        }
        Reached::Completed { summary } => {
            row.summary = Some(summary.clone());
            "completed"
        }
    };
    reached.clone_into(&mut row.reached);
    row
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
