//! `cxo graph`.

use std::collections::VecDeque;

use clap::ValueEnum;
use cxo_protocol::client::Client;
use cxo_protocol::graph::NodeId;
use cxo_protocol::methods::method;
use cxo_protocol::params::graph::{MAX_PAGE, NodeList, NodeName, NodeQuery, NodeSummary};
use cxo_protocol::{Exit, Problem};
use serde::Serialize;

use crate::context::Context;
use crate::render::graph;

/// Nodes of one drawing. What is larger is looked at in parts.
const MAX_DRAWN: usize = 10_000;

/// Show the work graph: what contains what, how it stands, who does it
///
/// The whole graph, or a node with all that it contains.
#[derive(Debug, clap::Args)]
pub(crate) struct Graph {
    /// The number of a node
    #[arg(value_name = "NODE")]
    node: Option<NodeId>,
    /// As what it is drawn
    #[arg(long = "as", value_name = "FORM", default_value = "tree", hide_default_value = true)]
    form: Form,
}

/// As what a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lines for people.
    Tree,
    /// The language of Graphviz.
    Dot,
    /// The language of Mermaid, which many pages draw by themselves.
    Mermaid,
}

/// Nodes of the graph, by number.
#[derive(Debug, Serialize)]
struct Document {
    v: u32,
    nodes: Vec<NodeSummary>,
    /// Whether there are more than are drawn at once.
    is_cut: bool,
}

impl Graph {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let (mut client, _) = context.connect()?;
        let (nodes, is_cut) = match self.node {
            Some(node) => below(&mut client, node)?,
            None => all(&mut client)?,
        };
        if nodes.is_empty() {
            context.out.story("the work graph is empty: `cxo call task.create` makes a node");
        }
        if is_cut {
            let said = format!("only {MAX_DRAWN} nodes are drawn: `cxo graph NODE` draws a part");
            context.out.story(&said);
        }
        let text = match self.form {
            Form::Tree => graph::tree(&nodes, &context.look),
            Form::Dot => graph::dot(&nodes),
            Form::Mermaid => graph::mermaid(&nodes),
        };
        context.answer(&text, &Document { v: 1, nodes, is_cut });
        Ok(Exit::Ok)
    }
}

/// Nodes that a query finds, page after page, until there are enough.
fn pages(
    client: &mut Client,
    query: NodeQuery,
    found: &mut Vec<NodeSummary>,
) -> Result<(), Problem> {
    let mut query = NodeQuery { limit: Some(MAX_PAGE), ..query };
    loop {
        let NodeList { nodes, next } = client.call::<method::GraphNodeList>(&query)?;
        found.extend(nodes);
        if next.is_none() || found.len() > MAX_DRAWN {
            return Ok(());
        }
        query.after = next;
    }
}

fn all(client: &mut Client) -> Result<(Vec<NodeSummary>, bool), Problem> {
    let mut found = Vec::new();
    pages(client, NodeQuery::default(), &mut found)?;
    Ok(cut(found))
}

/// A node with all that it contains.
fn below(client: &mut Client, node: NodeId) -> Result<(Vec<NodeSummary>, bool), Problem> {
    let top = client.call::<method::TaskGet>(&NodeName { node_id: node })?.node;
    let mut left: VecDeque<NodeId> = top.children.map(|_| node).into_iter().collect();
    let mut found = vec![top];
    while let Some(parent) = left.pop_front().filter(|_| found.len() <= MAX_DRAWN) {
        let from = found.len();
        pages(client, NodeQuery { parent_id: Some(parent), ..NodeQuery::default() }, &mut found)?;
        left.extend(found[from..].iter().filter(|one| one.children.is_some()).map(|one| one.id));
    }
    Ok(cut(found))
}

fn cut(mut found: Vec<NodeSummary>) -> (Vec<NodeSummary>, bool) {
    let is_cut = found.len() > MAX_DRAWN;
    found.truncate(MAX_DRAWN);
    found.sort_by_key(|node| node.id);
    (found, is_cut)
}
