//! The work graph: nodes that are made, changed, joined and listed.

mod cases;
mod planning;
mod views;

use cxo_core::shared::graph::{Graph, GraphCommand, NewNode, Node, NodeChange, Note};
use cxo_core::{Command, Repo, SharedCommand};
use cxo_protocol::graph::{Approval, ChecklistItem, Details, NodeId, Status};
use cxo_protocol::params::graph::{
    Checklist, ChecklistUpsert, DEFAULT_PAGE, EdgeCreate, EdgeRemove, MAX_PAGE, NodeCreate,
    NodeList, NodeMove, NodeName, NodeQuery, NodeUpdate, NodeView, SnapshotCreate,
};
use cxo_protocol::params::sessions::Success;
use cxo_protocol::{Code, Problem, SessionId, SessionName};
use serde::Serialize;
use serde_json::Value;

use super::Handlers;
use crate::caller::Call;

/// Nodes that are looked at for one page: whoever asks for few of many does not hold up who writes.
const LOOKED_AT: usize = 20_000;

impl Handlers {
    /// Has something about the graph decided that ends a call.
    async fn in_graph<R: Serialize>(
        &self,
        command: GraphCommand,
        call: &Call<'_>,
        reply: impl FnOnce(&Graph) -> R + Send + 'static,
    ) -> Result<Value, Problem> {
        let command = Command::Shared(SharedCommand::Graph {
            principal: call.principal().clone(),
            limits: self.slice_limits,
            command: Box::new(command),
        });
        self.conclude(command, call, move |repo: &Repo| reply(&repo.shared().graph)).await
    }

    pub(super) async fn create_node(
        &self,
        params: NodeCreate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        if params.approval_state.is_some_and(|state| state != Approval::Unasked) {
            return Err(Problem::new(Code::BadRequest, "a new node is not approved")
                .because("whoever makes it is not the one who approves it")
                .keeping("nothing was changed")
                .try_next("plan.rollup.submit, then plan.rollup.approve"));
        }
        let new = NewNode {
            level: params.level,
            title: params.title.clone(),
            parent: params.parent_id,
            priority: params.priority,
            status: params.status.unwrap_or(Status::Todo),
            details: Details {
                owner_session: self.answering(params.owner_session_id.as_ref())?,
                assignee_session: self.answering(params.assignee_session.as_ref())?,
                ..params.details()
            },
        };
        self.in_graph(GraphCommand::Create(new), call, newest).await
    }

    /// The session that is to answer for a node. One that is named need not be there yet; a number is
    /// one's that is.
    fn answering(&self, session: Option<&SessionName>) -> Result<Option<SessionId>, Problem> {
        match session {
            None => Ok(None),
            Some(SessionName::Name(name)) => Ok(Some(name.clone())),
            Some(number @ SessionName::Number(_)) => self.session_named(number).map(Some),
        }
    }

    pub(super) async fn update_node(
        &self,
        params: NodeUpdate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let node = params.node_id;
        let details = Details {
            owner_session: self.answering(params.owner_session_id.as_ref())?,
            assignee_session: self.answering(params.assignee_session.as_ref())?,
            ..params.details()
        };
        let change = NodeChange {
            node,
            title: params.title,
            priority: params.priority,
            status: params.status,
            merged: params.merged_commit,
            details,
        };
        self.in_graph(GraphCommand::Change(change), call, shown(node)).await
    }

    pub(super) async fn move_node(
        &self,
        params: NodeMove,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let (node, to) = (params.node_id, params.parent_id);
        self.in_graph(GraphCommand::Move { node, to }, call, shown(node)).await
    }

    pub(super) fn show_node(&self, named: NodeName) -> Result<NodeView, Problem> {
        let found = self.published.shared(|shared| {
            let graph = &shared.graph;
            graph.get(named.node_id).map(|node| views::whole(graph, node))
        });
        found.ok_or_else(|| no_such_node(named.node_id))
    }

    pub(super) fn list_nodes(&self, query: &NodeQuery) -> Result<NodeList, Problem> {
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        if limit == 0 || limit > MAX_PAGE {
            return Err(Problem::new(Code::BadRequest, "the page cannot be that long")
                .because(format!("`limit` is between 1 and {MAX_PAGE}"))
                .keeping("nothing was changed"));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.published.shared(|shared| {
            let graph = &shared.graph;
            let Some(parent) = query.parent_id else {
                return Ok(page(graph, graph.after(query.after), (query, limit)));
            };
            let parent = graph.get(parent).ok_or_else(|| no_such_node(parent))?;
            let behind = parent.children.iter().filter(|id| query.after.is_none_or(|at| **id > at));
            Ok(page(graph, behind.filter_map(|id| graph.get(*id)), (query, limit)))
        })
    }

    pub(super) async fn create_edge(
        &self,
        params: EdgeCreate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let command = GraphCommand::AddEdge {
            from: params.from_node_id,
            to: params.to_node_id,
            edge_type: params.edge_type,
            mode: params.mode,
        };
        self.in_graph(command, call, |_| Success::DONE).await
    }

    pub(super) async fn remove_edge(
        &self,
        params: EdgeRemove,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let command = GraphCommand::RemoveEdge {
            from: params.from_node_id,
            to: params.to_node_id,
            edge_type: params.edge_type,
        };
        self.in_graph(command, call, |_| Success::DONE).await
    }

    pub(super) async fn upsert_checklist(
        &self,
        params: ChecklistUpsert,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let node = params.node_id;
        let item = ChecklistItem {
            item_text: params.item_text,
            status: params.status.unwrap_or(Status::Todo),
            order_no: params.order_no,
            facet: params.facet,
        };
        let checklist = move |graph: &Graph| Checklist {
            checklist: graph.get(node).map(views::checklist).unwrap_or_default(),
        };
        self.in_graph(GraphCommand::PutChecklistItem { node, item }, call, checklist).await
    }

    pub(super) async fn create_snapshot(
        &self,
        params: SnapshotCreate,
        call: &Call<'_>,
    ) -> Result<Value, Problem> {
        let node = params.node_id;
        let said = Note {
            summary: params.summary,
            affected_files: params.affected_files,
            next_action: params.next_action,
        };
        let snapshot_type = params.snapshot_type;
        let command = GraphCommand::TakeSnapshot { node, snapshot_type, note: said };
        let taken =
            move |graph: &Graph| graph.get(node).and_then(|node| node.snapshots.back().cloned());
        self.in_graph(command, call, taken).await
    }
}

/// The node that was made last.
fn newest(graph: &Graph) -> Option<NodeView> {
    graph.newest().next().map(|node| views::whole(graph, node))
}

/// A node, as what was asked leaves it.
fn shown(node: NodeId) -> impl FnOnce(&Graph) -> Option<NodeView> + Send + 'static {
    move |graph| graph.get(node).map(|node| views::whole(graph, node))
}

/// A page of nodes that a query wants, out of these.
fn page<'a>(
    graph: &Graph,
    nodes: impl Iterator<Item = &'a Node>,
    (query, limit): (&NodeQuery, usize),
) -> NodeList {
    let mut found = NodeList { nodes: Vec::new(), next: None };
    let mut last = None;
    for (looked_at, node) in nodes.enumerate() {
        if found.nodes.len() == limit || looked_at == LOOKED_AT {
            found.next = last;
            break;
        }
        last = Some(node.id);
        let is_wanted = query.level.is_none_or(|level| level == node.level)
            && query.status.is_none_or(|status| status == node.status)
            && (query.facet.is_none() || query.facet == node.details.facet);
        if is_wanted {
            found.nodes.push(views::short(graph, node));
        }
    }
    found
}

fn no_such_node(node: NodeId) -> Problem {
    Problem::new(Code::NoSuchNode, format!("there is no node {node}"))
        .keeping("nothing was changed")
        .try_next("cxo graph")
}
