//! The work graph: levels of work that contain each other and wait for each other, the claims under
//! which sessions do cases, and the plans by which work is cut into slices.
//!
//! Decides on its own facts only. Of sessions it knows whose they are and whether they are there.

mod cases;
mod claims;
mod command;
mod edges;
mod node;
mod rights;
mod rollup;
mod room;
mod slices;
mod structure;
mod violations;

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::graph::{GraphEvent, Level, NodeId, Reached};
use cxo_protocol::{Principal, SessionId, Timestamp};

use super::{Agents, Places, Sessions, SharedRejected};
use node::Node as GraphNode;
use rollup::Ready;
use room::Made;

pub use claims::{CLAIM_LEASE_MS, Claim, Claims, MAX_CLAIMS_OF_SESSION};
pub use command::{
    CaseCall, CycleEdge, GraphCommand, GraphRejected, NewNode, NewSlice, NodeChange, Note,
};
pub use node::{MAX_CHECKPOINTS, MAX_PRIORITY, MAX_SNAPSHOTS, Node};
pub use rollup::rolled_up;
pub use slices::{Oversized, Part, Rollup, SliceLimits};

/// Nodes of a repository. All of them are in memory.
pub const MAX_NODES: usize = 100_000;

/// Nodes that one node waits for.
pub const MAX_LINKS_OF_NODE: usize = 256;

/// Nodes that wait for one: all of them are looked at when it is done.
pub const MAX_WAITING: usize = 4_096;

/// Bytes of all texts together. They are in memory too, once for who decides and once for who reads.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

const PLACES: Places =
    Places { what: "nodes", all: MAX_NODES, of_one_agent: 50_000, kept_for_user: 5_000 };

/// What a command is answered with.
type Decided = Result<Vec<GraphEvent>, SharedRejected>;

/// Who asks, when, and under which limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) now: Timestamp,
    pub(super) principal: &'a Principal,
    pub(super) limits: SliceLimits,
    pub(super) sessions: &'a Sessions,
    pub(super) agents: &'a Agents,
}

/// The work graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: BTreeMap<NodeId, GraphNode>,
    last_node: u64,
    by_creator: BTreeMap<Principal, Made>,
    bytes: usize,
    ready: BTreeSet<Ready>,
    /// Who does which case.
    pub claims: Claims,
}

impl Graph {
    /// A node.
    pub fn get(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// The nodes behind one, by number.
    pub fn after(&self, node: Option<NodeId>) -> impl Iterator<Item = &Node> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = node.map_or(Unbounded, Excluded);
        self.nodes.range((from, Unbounded)).map(|(_, node)| node)
    }

    /// The nodes that were made last, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().rev()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The cases that can be taken, in the order in which they are.
    pub fn ready(&self) -> impl Iterator<Item = NodeId> {
        self.ready.iter().map(|ready| ready.case)
    }

    /// How many cases can be taken.
    pub fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// A node with those that contain it, itself first.
    pub fn upwards(&self, node: NodeId) -> impl Iterator<Item = &Node> {
        let first = self.nodes.get(&node);
        std::iter::successors(first, |node| self.nodes.get(&node.parent?))
    }

    /// What a node waits for, by itself and by what contains it.
    pub fn waits_for(&self, node: NodeId) -> Vec<NodeId> {
        let awaited = self.upwards(node).filter(|node| node.unmet > 0).flat_map(|node| {
            node.waits_for.iter().filter(|(awaited, link)| {
                let awaited = self.nodes.get(awaited);
                awaited.is_none_or(|awaited| !rollup::is_met(**link, awaited))
            })
        });
        let awaited: BTreeSet<NodeId> = awaited.map(|(awaited, _)| *awaited).collect();
        awaited.into_iter().collect()
    }

    /// The nodes whose rows an event changes: those that it names, and those whose status follows.
    pub fn changed_by(&self, event: &GraphEvent) -> BTreeSet<NodeId> {
        let named = event.nodes().into_iter();
        named.flat_map(|node| self.upwards(node).map(|node| node.id)).collect()
    }

    pub(super) fn decide(&self, command: &GraphCommand, around: Around<'_>) -> Decided {
        match command {
            GraphCommand::Create(new) => self.create(new, around),
            GraphCommand::Change(change) => self.change(change, around),
            GraphCommand::Move { node, to } => self.relocate(*node, *to, around),
            GraphCommand::AddEdge { from, to, edge_type, mode } => {
                self.add_edge((*from, *to), *edge_type, *mode, around)
            }
            GraphCommand::RemoveEdge { from, to, edge_type } => {
                self.remove_edge((*from, *to), *edge_type, around)
            }
            GraphCommand::PutChecklistItem { node, item } => self.put_item(*node, item, around),
            GraphCommand::TakeSnapshot { node, snapshot_type, note } => {
                self.take_snapshot(*node, snapshot_type, note, around)
            }
            GraphCommand::Bootstrap { initiative, plan } => {
                self.bootstrap(initiative, plan, around)
            }
            GraphCommand::GenerateSlices { plan, slices } => {
                self.generate_slices(*plan, slices, around)
            }
            GraphCommand::Replan { slice, reason, affected_files, next_action } => {
                let asked = slices::Replan {
                    reason: *reason,
                    affected_files: affected_files.as_deref(),
                    next_action: next_action.as_deref(),
                };
                self.replan(*slice, &asked, around)
            }
            GraphCommand::SubmitRollup { node, note } => self.submit(*node, note, around),
            GraphCommand::JudgeRollup { node, verdict, snapshot } => {
                self.judge(*node, *verdict, *snapshot)
            }
            GraphCommand::OfCase { session, call } => self.of_case(session, call, around),
        }
    }

    /// What has become due by the passing of time.
    pub(super) fn due(&self, now: Timestamp, sessions: &Sessions) -> Vec<GraphEvent> {
        self.claims.due(now, sessions)
    }

    /// When time alone changes something.
    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        self.claims.next_wakeup()
    }

    /// The node, or that there is none.
    fn node(&self, id: NodeId) -> Result<&Node, GraphRejected> {
        self.nodes.get(&id).ok_or(GraphRejected::NoNode { node: id })
    }

    /// The node, if it is of this level.
    fn of_level(&self, id: NodeId, wanted: Level) -> Result<&Node, GraphRejected> {
        let node = self.node(id)?;
        if node.level == wanted {
            Ok(node)
        } else {
            Err(GraphRejected::WrongLevel { node: id, level: node.level, wanted })
        }
    }

    /// Takes an event in. Total: one that does not fit changes nothing.
    pub(super) fn evolve(&mut self, event: &GraphEvent, at: Timestamp) {
        match event {
            GraphEvent::NodeCreated { .. } => self.put(event, at),
            GraphEvent::NodeMoved { node, to, .. } => self.put_below(*node, *to),
            GraphEvent::StatusSet { node, status } => self.settle(*node, *status),
            GraphEvent::EdgeAdded { waits, awaits, link } => self.join(*waits, *awaits, *link),
            GraphEvent::EdgeRemoved { waits, awaits } => self.part(*waits, *awaits),
            GraphEvent::CaseClaimed { case, session, fence, expires_at } => {
                self.take_claim(*case, session, (*fence, *expires_at), at);
            }
            GraphEvent::ClaimRenewed { case, expires_at } => {
                self.claims.renew(*case, *expires_at);
            }
            GraphEvent::ClaimHandedOver { case, session, fence, expires_at } => {
                self.claims.remove(*case);
                self.take_claim(*case, session, (*fence, *expires_at), at);
            }
            GraphEvent::ClaimReleased { case, .. } => {
                self.claims.remove(*case);
                self.place(*case);
            }
            GraphEvent::NodeMerged { node, commit } => {
                self.with(*node, |node| node.merged = Some(commit.clone()));
                self.tell_waiting(*node);
            }
            GraphEvent::NodeChanged { node, title, priority, details } => {
                self.with(*node, |node| {
                    node.say(title.as_ref(), *priority, details);
                });
                self.place(*node);
            }
            GraphEvent::ApprovalSet { node, approval } => {
                self.with(*node, |node| node.approval = *approval);
            }
            GraphEvent::ChecklistPut { node, item } => self.with(*node, |node| {
                node.checklist.insert(item.item_text.clone(), item.clone());
            }),
            GraphEvent::SnapshotTaken { node, snapshot } => self.with(*node, |node| {
                keep_newest(&mut node.snapshots, snapshot.clone(), MAX_SNAPSHOTS);
            }),
            GraphEvent::CaseBegun { case, contract } => {
                self.with(*case, |node| node.contract = Some(contract.clone()));
            }
            GraphEvent::CheckpointWritten { case, checkpoint } => {
                if let Reached::StepChecked { step, artifacts, .. } = &checkpoint.reached {
                    self.with(*step, |node| node.artifacts.clone_from(artifacts));
                }
                self.with(*case, |node| {
                    keep_newest(&mut node.checkpoints, checkpoint.clone(), MAX_CHECKPOINTS);
                });
            }
        }
        for node in event.nodes() {
            if let Some(node) = self.nodes.get_mut(&node) {
                node.changed_at = at;
            }
        }
    }

    /// Changes what is written in a node, and counts its bytes anew.
    fn with(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        change(node);
        let bytes = node.bytes();
        let counted = std::mem::replace(&mut node.counted_bytes, bytes);
        self.bytes = self.bytes.saturating_sub(counted) + bytes;
        if let Some(made) = self.by_creator.get_mut(&node.by) {
            made.bytes = made.bytes.saturating_sub(counted) + bytes;
        }
    }

    fn take_claim(
        &mut self,
        case: NodeId,
        session: &SessionId,
        (fence, expires_at): (u64, Timestamp),
        at: Timestamp,
    ) {
        if self.nodes.contains_key(&case) {
            let session = session.clone();
            self.claims.put(Claim { case, session, fence, claimed_at: at, expires_at });
            self.place(case);
        }
    }
}

fn keep_newest<T>(kept: &mut std::collections::VecDeque<T>, new: T, limit: usize) {
    kept.push_back(new);
    if kept.len() > limit {
        kept.pop_front();
    }
}

#[cfg(test)]
mod tests;
