//! The graph on plain lists, computed anew at every look. It shares no code with the core.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::graph::{DependsMode, GraphEvent, Level, Link, NodeId, Status};
use cxo_protocol::{SessionId, Timestamp};

#[derive(Debug, Clone)]
struct Entry {
    level: Level,
    parent: Option<NodeId>,
    /// As it was set last; of a node with children it says nothing.
    status: Status,
    merged: bool,
    priority: u32,
}

#[derive(Debug, Clone)]
struct Hold {
    session: SessionId,
    fence: u64,
    until: Timestamp,
}

/// What is known from the events alone.
#[derive(Debug, Default)]
pub(crate) struct Books {
    nodes: BTreeMap<NodeId, Entry>,
    waits: BTreeMap<(NodeId, NodeId), Link>,
    holds: BTreeMap<NodeId, Hold>,
    fences: BTreeSet<u64>,
    last_fences: BTreeMap<NodeId, u64>,
}

impl Books {
    /// Sees a fact that was stored.
    pub(crate) fn see(&mut self, event: &GraphEvent, now: Timestamp) {
        match event {
            GraphEvent::NodeCreated { node, level, parent, status, priority, .. } => {
                let entry = Entry {
                    level: *level,
                    parent: None,
                    status: *status,
                    merged: false,
                    priority: *priority,
                };
                assert!(self.nodes.insert(*node, entry).is_none(), "{node} twice");
                self.put_below(*node, *parent);
            }
            GraphEvent::NodeMoved { node, to, .. } => self.put_below(*node, *to),
            GraphEvent::StatusSet { node, status } => {
                let entry = self.nodes.get_mut(node).unwrap();
                entry.status = *status;
            }
            GraphEvent::NodeMerged { node, .. } => {
                assert_eq!(self.status(*node), Status::Done);
                self.nodes.get_mut(node).unwrap().merged = true;
            }
            GraphEvent::NodeChanged { node, priority, .. } => {
                let entry = self.nodes.get_mut(node).unwrap();
                entry.priority = priority.unwrap_or(entry.priority);
            }
            GraphEvent::EdgeAdded { waits, awaits, link } => {
                assert!(self.waits.insert((*waits, *awaits), *link).is_none());
            }
            GraphEvent::EdgeRemoved { waits, awaits } => {
                assert!(self.waits.remove(&(*waits, *awaits)).is_some());
            }
            GraphEvent::CaseClaimed { case, session, fence, expires_at } => {
                assert!(!self.holds.contains_key(case), "{case} is held twice");
                self.hold(*case, session, *fence, *expires_at);
            }
            GraphEvent::ClaimHandedOver { case, session, fence, expires_at } => {
                assert!(self.holds.remove(case).is_some());
                self.hold(*case, session, *fence, *expires_at);
            }
            GraphEvent::ClaimRenewed { case, expires_at } => {
                let hold = self.holds.get_mut(case).unwrap();
                assert!(hold.until < *expires_at || hold.until > now);
                hold.until = *expires_at;
            }
            GraphEvent::ClaimReleased { case, .. } => {
                assert!(self.holds.remove(case).is_some());
            }
            GraphEvent::ApprovalSet { .. }
            | GraphEvent::ChecklistPut { .. }
            | GraphEvent::SnapshotTaken { .. }
            | GraphEvent::CaseBegun { .. }
            | GraphEvent::CheckpointWritten { .. } => {}
        }
        self.unmerge();
    }

    fn put_below(&mut self, node: NodeId, to: Option<NodeId>) {
        // What loses its last child stands as it stood with it.
        let from = self.nodes[&node].parent;
        if let Some(from) = from {
            let stood = self.status(from);
            self.nodes.get_mut(&from).unwrap().status = stood;
        }
        self.nodes.get_mut(&node).unwrap().parent = to;
    }

    /// What is not done is not merged.
    fn unmerge(&mut self) {
        let undone: Vec<NodeId> =
            self.nodes.keys().filter(|id| self.status(**id) != Status::Done).copied().collect();
        for id in undone {
            self.nodes.get_mut(&id).unwrap().merged = false;
        }
    }

    fn hold(&mut self, case: NodeId, session: &SessionId, fence: u64, until: Timestamp) {
        assert!(self.fences.last().is_none_or(|last| fence > *last), "fence {fence} goes back");
        self.fences.insert(fence);
        self.last_fences.insert(case, fence);
        self.holds.insert(case, Hold { session: session.clone(), fence, until });
    }

    fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(move |(_, node)| node.parent == Some(id)).map(|(id, _)| *id)
    }

    /// The status of a node, from its leaves.
    pub(crate) fn status(&self, id: NodeId) -> Status {
        let entry = &self.nodes[&id];
        let own = matches!(entry.level, Level::Case | Level::Step);
        let below: Vec<Status> = self.children(id).map(|child| self.status(child)).collect();
        if own || below.is_empty() {
            return entry.status;
        }
        let has = |status| below.contains(&status);
        let wanted = || below.iter().filter(|status| **status != Status::Cancelled);
        match () {
            () if wanted().next().is_none() => Status::Cancelled,
            () if wanted().all(|status| *status == Status::Done) => Status::Done,
            () if has(Status::InProgress) => Status::InProgress,
            () if has(Status::Failed) => Status::Failed,
            () if has(Status::Blocked) => Status::Blocked,
            () if has(Status::Done) => Status::InProgress,
            () => Status::Todo,
        }
    }

    fn is_met(&self, link: Link, awaited: NodeId) -> bool {
        let status = self.status(awaited);
        match link {
            Link::DependsOn { mode: DependsMode::OnBranch } => status == Status::Done,
            Link::DependsOn { mode: DependsMode::AfterMerge } => self.nodes[&awaited].merged,
            Link::Blocks => status == Status::Done || status == Status::Cancelled,
        }
    }

    fn waits(&self, id: NodeId) -> bool {
        let own = self
            .waits
            .iter()
            .any(|((waits, awaited), link)| *waits == id && !self.is_met(*link, *awaited));
        own || self.nodes[&id].parent.is_some_and(|parent| self.waits(parent))
    }

    /// The cases that can be taken, in the order in which they are.
    pub(crate) fn ready(&self) -> Vec<NodeId> {
        let turn = |id: &NodeId| match self.nodes[id].status {
            Status::InProgress => 0,
            Status::Blocked => 1,
            Status::Todo | Status::Done | Status::Failed | Status::Cancelled => 2,
        };
        let mut ready: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(id, node)| {
                node.level == Level::Case
                    && matches!(node.status, Status::Todo | Status::InProgress | Status::Blocked)
                    && !self.holds.contains_key(id)
                    && !self.waits(**id)
            })
            .map(|(id, _)| *id)
            .collect();
        ready.sort_by_key(|id| (turn(id), std::cmp::Reverse(self.nodes[id].priority), *id));
        ready
    }

    /// All nodes.
    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// All cases.
    pub(crate) fn cases(&self) -> Vec<NodeId> {
        let cases = self.nodes.iter().filter(|(_, node)| node.level == Level::Case);
        cases.map(|(id, _)| *id).collect()
    }

    /// Who holds a case now, with the fence: a lease that is over counts no more.
    pub(crate) fn holder(&self, case: NodeId, now: Timestamp) -> Option<(SessionId, u64)> {
        let hold = self.holds.get(&case).filter(|hold| now < hold.until)?;
        Some((hold.session.clone(), hold.fence))
    }

    /// The fence under which a case was held last, be it over or not.
    pub(crate) fn last_fence(&self, case: NodeId) -> Option<u64> {
        self.last_fences.get(&case).copied()
    }

    /// Whether a case has steps that are open or failed.
    pub(crate) fn has_steps_left(&self, case: NodeId) -> bool {
        self.children(case)
            .any(|step| !matches!(self.nodes[&step].status, Status::Done | Status::Cancelled))
    }
}
