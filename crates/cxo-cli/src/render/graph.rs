//! The work graph: as lines for a terminal, and in the languages of two programs that draw. Titles are
//! foreign text: none of the three lets one be more than text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use cxo_protocol::graph::{DependsMode, Link, NodeId, Status};
use cxo_protocol::params::graph::NodeSummary;
use cxo_protocol::view::TaskWord;

use super::{Look, Tint, tint_of};
use crate::text::{cell, columns, fit, plain};

/// The longest tree that is printed; a longer graph is looked at in parts, or in its JSON.
const MAX_LINES: usize = 500;

/// Columns of a level: the longest word.
const LEVEL: usize = 10;

/// Columns of a status with its symbol: the longest word.
const STATUS: usize = 13;

/// The symbol and the tint of a status: those of a task that is in a like state.
fn sign_of(status: Status) -> (&'static str, Tint) {
    let like = match status {
        Status::Todo => TaskWord::Waiting,
        Status::InProgress => TaskWord::Working,
        Status::Blocked => TaskWord::Blocked,
        Status::Done => TaskWord::Merged,
        Status::Failed => TaskWord::Failed,
        Status::Cancelled => TaskWord::Cancelled,
    };
    (like.symbol(), tint_of(like))
}

fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// The nodes as a forest, in the order of their numbers. One whose parent is not among them stands at
/// the edge.
struct Forest<'a> {
    nodes: BTreeMap<NodeId, &'a NodeSummary>,
    below: BTreeMap<Option<NodeId>, Vec<NodeId>>,
}

impl<'a> Forest<'a> {
    fn of(nodes: &'a [NodeSummary]) -> Self {
        let nodes: BTreeMap<NodeId, &NodeSummary> =
            nodes.iter().map(|node| (node.id, node)).collect();
        let mut below: BTreeMap<Option<NodeId>, Vec<NodeId>> = BTreeMap::new();
        for node in nodes.values() {
            let parent = node.parent_id.filter(|parent| nodes.contains_key(parent));
            below.entry(parent).or_default().push(node.id);
        }
        Self { nodes, below }
    }

    /// Every node with the branches that lead to it, in the order of the lines.
    fn lines(&self) -> Vec<(String, &'a NodeSummary)> {
        let mut lines = Vec::new();
        let at_edge = self.below.get(&None).into_iter().flatten().rev();
        let mut left: Vec<(NodeId, String, String)> =
            at_edge.map(|id| (*id, String::new(), String::new())).collect();
        while let Some((id, branch, indent)) = left.pop() {
            let Some(node) = self.nodes.get(&id) else { continue };
            lines.push((format!("{branch}{id}"), *node));
            let children = self.below.get(&Some(id)).map(Vec::as_slice).unwrap_or_default();
            for (from_end, child) in children.iter().rev().enumerate() {
                let (here, on) =
                    if from_end == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                left.push((*child, format!("{indent}{here}"), format!("{indent}{on}")));
            }
        }
        lines
    }
}

/// The graph as a tree, a line for each node.
pub(crate) fn tree(nodes: &[NodeSummary], look: &Look) -> String {
    let lines = Forest::of(nodes).lines();
    if lines.is_empty() {
        return String::new();
    }
    let shown = &lines[..lines.len().min(MAX_LINES)];
    let places = shown.iter().map(|(place, _)| columns(place));
    let place = places.chain(["NODE".len()]).max().unwrap_or(0).min(look.width / 3);
    let free = look.width.saturating_sub(place + 2 + LEVEL + 2 + STATUS + 2);
    let head = format!(
        "{}  {}  {}  TITLE",
        cell("NODE", place),
        cell("LEVEL", LEVEL),
        cell("STATUS", STATUS)
    );
    let mut text = look.paint(Tint::Faint, &head);
    text.push('\n');
    for (at, node) in shown {
        let (symbol, tint) = sign_of(node.status);
        let status = cell(&format!("{symbol} {}", words(node.status.word())), STATUS);
        let level = cell(&words(node.level.word()), LEVEL);
        let said = said_of(node, free);
        let _ =
            writeln!(text, "{}  {level}  {}  {said}", cell(at, place), look.paint(tint, &status));
    }
    if lines.len() > shown.len() {
        let _ = writeln!(text, "… and {} more", lines.len() - shown.len());
    }
    text
}

/// What stands behind the columns: who does it, how many of its children are done, the title, and what
/// it waits for. The title is cut to what room is left.
fn said_of(node: &NodeSummary, width: usize) -> String {
    let mut before = String::new();
    if let Some(claim) = &node.claim {
        let _ = write!(before, "@{} ", claim.session_id);
    }
    if let Some(children) = &node.children {
        let _ = write!(before, "{}/{} ", children.done, children.all() - children.cancelled);
    }
    let awaited: Vec<String> = node.waits_for.iter().map(|wait| wait.node_id.to_string()).collect();
    let after =
        if awaited.is_empty() { String::new() } else { format!(" ← {}", awaited.join(" ")) };
    let room = width.saturating_sub(columns(&before) + columns(&after)).max(width / 2);
    fit(&format!("{before}{}{after}", fit(&plain(&node.title), room)), width)
}

/// How an edge is called in a drawing.
fn name_of(link: Link) -> &'static str {
    match link {
        Link::DependsOn { mode: DependsMode::OnBranch } => "depends on",
        Link::DependsOn { mode: DependsMode::AfterMerge } => "depends on, merged",
        Link::Blocks => "blocks",
    }
}

/// The edges that are drawn: from, to, and the name of those that are no containment.
fn edges(nodes: &[NodeSummary]) -> Vec<(NodeId, NodeId, Option<&'static str>)> {
    let drawn: BTreeSet<NodeId> = nodes.iter().map(|node| node.id).collect();
    let mut edges = Vec::new();
    for node in nodes {
        edges.extend(node.parent_id.map(|parent| (parent, node.id, None)));
        edges.extend(node.waits_for.iter().map(|wait| match wait.link {
            Link::DependsOn { .. } => (node.id, wait.node_id, Some(name_of(wait.link))),
            Link::Blocks => (wait.node_id, node.id, Some(name_of(wait.link))),
        }));
    }
    edges.retain(|(from, to, _)| drawn.contains(from) && drawn.contains(to));
    edges
}

/// The graph in the language of Graphviz.
pub(crate) fn dot(nodes: &[NodeSummary]) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::from("digraph work {\n  rankdir=LR;\n  node [shape=box];\n");
    for node in nodes {
        let (level, status) = (words(node.level.word()), words(node.status.word()));
        let (symbol, _) = sign_of(node.status);
        let title = quoted(&plain(&node.title));
        let _ = writeln!(
            text,
            "  n{} [label=\"{} {title}\\n{level} {symbol} {status}\"];",
            node.id, node.id
        );
    }
    for (from, to, name) in edges(nodes) {
        let _ = match name {
            None => writeln!(text, "  n{from} -> n{to};"),
            Some(name) => writeln!(text, "  n{from} -> n{to} [style=dashed, label=\"{name}\"];"),
        };
    }
    text.push_str("}\n");
    text
}

/// The graph in the language of Mermaid.
pub(crate) fn mermaid(nodes: &[NodeSummary]) -> String {
    let mut text = String::from("flowchart LR\n");
    for node in nodes {
        let (level, status) = (words(node.level.word()), words(node.status.word()));
        let (symbol, _) = sign_of(node.status);
        let title = entities(&plain(&node.title));
        let _ =
            writeln!(text, "  n{}[\"{} {title}<br>{level} {symbol} {status}\"]", node.id, node.id);
    }
    for (from, to, name) in edges(nodes) {
        let _ = match name {
            None => writeln!(text, "  n{from} --> n{to}"),
            Some(name) => writeln!(text, "  n{from} -.->|\"{name}\"| n{to}"),
        };
    }
    text
}

/// Everything but letters, digits and a few signs as the number of its character: Mermaid reads quotes,
/// tags, directives and Markdown in a text, and comments anywhere.
fn entities(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_alphanumeric() || " .,:/_-".contains(letter) {
            safe.push(letter);
        } else {
            let _ = write!(safe, "#{};", u32::from(letter));
        }
    }
    safe
}

#[cfg(test)]
mod tests;
