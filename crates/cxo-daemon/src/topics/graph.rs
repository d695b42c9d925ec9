//! What the facts of the work graph tell.

use cxo_protocol::GraphEvent;
use cxo_protocol::topic::{GraphNews, News};

/// What a fact tells. That a claim is held for longer is no news.
pub(super) fn of_graph(event: &GraphEvent) -> Option<News> {
    let news = match event {
        GraphEvent::NodeCreated { node, level, parent, title, status, .. } => GraphNews::Created {
            node_id: *node,
            level: *level,
            parent_id: *parent,
            title: title.clone(),
            status: *status,
        },
        GraphEvent::NodeChanged { node, .. }
        | GraphEvent::ChecklistPut { node, .. }
        | GraphEvent::SnapshotTaken { node, .. }
        | GraphEvent::CaseBegun { case: node, .. } => GraphNews::Changed { node_id: *node },
        GraphEvent::NodeMoved { node, to, .. } => {
            GraphNews::Moved { node_id: *node, parent_id: *to }
        }
        GraphEvent::StatusSet { node, status } => {
            GraphNews::Status { node_id: *node, status: *status }
        }
        GraphEvent::NodeMerged { node, commit } => {
            GraphNews::Merged { node_id: *node, commit: commit.clone() }
        }
        GraphEvent::ApprovalSet { node, approval } => {
            GraphNews::Approval { node_id: *node, approval: *approval }
        }
        GraphEvent::EdgeAdded { waits, awaits, link } => {
            GraphNews::Linked { node_id: *waits, waits_for: *awaits, link: *link }
        }
        GraphEvent::EdgeRemoved { waits, awaits } => {
            GraphNews::Unlinked { node_id: *waits, waits_for: *awaits }
        }
        GraphEvent::CaseClaimed { case, session, fence, expires_at }
        | GraphEvent::ClaimHandedOver { case, session, fence, expires_at } => GraphNews::Claimed {
            node_id: *case,
            session_id: session.clone(),
            fence: *fence,
            expires_at: *expires_at,
        },
        GraphEvent::ClaimReleased { case, why } => {
            GraphNews::Released { node_id: *case, why: *why }
        }
        GraphEvent::CheckpointWritten { case, checkpoint } => GraphNews::Checkpoint {
            node_id: *case,
            number: checkpoint.number,
            session_id: checkpoint.session_id.clone(),
        },
        GraphEvent::ClaimRenewed { .. } => return None,
    };
    Some(News::GraphChanged(news))
}
