//! Making nodes, changing them, moving them, and joining them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cxo_protocol::graph::{
    Approval, ChecklistItem, ClaimEnd, DependsMode, Details, EdgeType, GraphEvent, Level, Link,
    NodeId, Snapshot, Status, Tally,
};
use cxo_protocol::{CommitId, Timestamp};

use super::command::{CycleEdge, GraphRejected, NewNode, NodeChange, Note};
use super::edges::{Point, Without};
use super::node::{self, MAX_CHECKLIST, MAX_STEPS, Node};
use super::room::Purpose;
use super::{Around, Decided, Graph, MAX_LINKS_OF_NODE, MAX_WAITING, claims};
use crate::shared::SharedRejected;

/// Nodes that are merged by one call. What is larger is merged in parts.
const MAX_MERGED_AT_ONCE: usize = 10_000;

impl Graph {
    pub(super) fn create(&self, new: &NewNode, around: Around<'_>) -> Decided {
        around.may_arrange(new.level)?;
        self.has_room(1, around)?;
        self.may_be(new, around)?;
        Ok(vec![self.created(new, 0, around)])
    }

    /// The event of the `nth` node that is made by one command.
    pub(super) fn created(&self, new: &NewNode, nth: u64, around: Around<'_>) -> GraphEvent {
        GraphEvent::NodeCreated {
            node: NodeId(self.last_node + 1 + nth),
            level: new.level,
            parent: new.parent,
            title: new.title.clone(),
            priority: new.priority,
            status: new.status,
            details: new.details.clone(),
            by: around.principal.clone(),
        }
    }

    /// Whether a node may be as it is wished, and where.
    fn may_be(&self, new: &NewNode, around: Around<'_>) -> Result<(), SharedRejected> {
        node::title(&new.title)?;
        node::priority(new.priority)?;
        node::details(&new.details)?;
        may_be_set(new.level, new.status)?;
        if new.level == Level::Slice {
            around.limits.admit([(new.title.as_str(), &new.details)])?;
        }
        self.may_contain(new.parent, new.level, around)?;
        Ok(())
    }

    /// Whether a node may come to stand below another.
    fn may_contain(
        &self,
        above: Option<NodeId>,
        below: Level,
        around: Around<'_>,
    ) -> Result<(), SharedRejected> {
        let Some(above) = above else {
            let alone = below != Level::Step;
            let refused = GraphRejected::NotContained { above: None, below };
            return if alone { Ok(()) } else { Err(refused.into()) };
        };
        let parent = self.node(above)?;
        if !parent.level.may_contain(below) {
            let above = Some(parent.level);
            return Err(GraphRejected::NotContained { above, below }.into());
        }
        if parent.level == Level::Case {
            if !parent.status.is_open() {
                return Err(over(parent).into());
            }
            node::within("the list of steps", parent.tally.all() < MAX_STEPS, "200 of a case")?;
            self.may_touch(parent, around)?;
        }
        Ok(())
    }

    /// A case that a session holds is its own business, and the user's.
    fn may_touch(&self, case: &Node, around: Around<'_>) -> Result<(), GraphRejected> {
        let Some(claim) = self.claims.get(case.id) else { return Ok(()) };
        let is_own = around.principal.is_users()
            || around.sessions.owned(&claim.session, around.principal).is_ok();
        if is_own || !claim.is_held_at(around.now, around.sessions) {
            return Ok(());
        }
        Err(GraphRejected::Claimed {
            case: case.id,
            holder: claim.session.clone(),
            expires_at: claim.expires_at,
        })
    }

    /// The case that a node is or is a step of.
    fn case_of<'a>(&'a self, node: &'a Node) -> Option<&'a Node> {
        match node.level {
            Level::Case => Some(node),
            Level::Step => node.parent.and_then(|case| self.nodes.get(&case)),
            Level::Initiative
            | Level::Plan
            | Level::Slice
            | Level::Epic
            | Level::Feature
            | Level::TestGroup => None,
        }
    }

    pub(super) fn change(&self, change: &NodeChange, around: Around<'_>) -> Decided {
        let found = self.node(change.node)?;
        around.may_arrange(found.level)?;
        let mut events = Vec::new();
        let details = &change.details;
        if let Some(title) = &change.title {
            node::title(title)?;
        }
        change.priority.map_or(Ok(()), node::priority)?;
        node::details(details)?;
        if found.level == Level::Slice {
            let mut whole = found.details.clone();
            whole.take(details);
            if whole != found.details {
                around.limits.admit([(found.title.as_str(), &whole)])?;
            }
        }
        if change.title.is_some() || change.priority.is_some() || *details != Details::default() {
            self.may_say(found, change, around)?;
            events.push(GraphEvent::NodeChanged {
                node: found.id,
                title: change.title.clone(),
                priority: change.priority,
                details: details.clone(),
            });
        }
        if let Some(status) = change.status {
            events.extend(self.set_status(found, status, around)?);
        }
        if let Some(commit) = &change.merged {
            around.may_judge("to say what is merged")?;
            events.extend(self.merged(found, commit)?);
        }
        Ok(events)
    }

    fn set_status(&self, node: &Node, status: Status, around: Around<'_>) -> Decided {
        let children = node.tally.all();
        if node.level.rolls_up() && children > 0 {
            return Err(GraphRejected::RolledUp { node: node.id, children }.into());
        }
        may_be_set(node.level, status)?;
        if let Some(case) = self.case_of(node) {
            self.may_touch(case, around)?;
            let would_open = case.id != node.id && status != Status::Cancelled;
            if would_open && case.status == Status::Done {
                return Err(over(case).into());
            }
        }
        if node.status == status {
            return Ok(Vec::new());
        }
        let set = GraphEvent::StatusSet { node: node.id, status };
        // Who does a case set it aside with this, or somebody took it from them.
        let claim = self.claims.get(node.id);
        let freed = claim.map(|claim| claims::released(claim, ClaimEnd::SetAside));
        Ok(std::iter::once(set).chain(freed).collect())
    }

    /// What is merged is merged with all that it contains.
    fn merged(&self, node: &Node, commit: &CommitId) -> Decided {
        if node.status != Status::Done {
            return Err(GraphRejected::NotDone { node: node.id, status: node.status }.into());
        }
        let mut events = Vec::new();
        let mut left = vec![node];
        let mut looked_at = 0;
        while let Some(node) = left.pop() {
            if node.status != Status::Done {
                continue;
            }
            looked_at += 1;
            let fits = looked_at <= MAX_MERGED_AT_ONCE;
            node::within("what is merged at once", fits, "10000 nodes")?;
            if node.merged.is_none() {
                events.push(GraphEvent::NodeMerged { node: node.id, commit: commit.clone() });
            }
            if node.level.rolls_up() {
                left.extend(node.children.iter().filter_map(|child| self.nodes.get(child)));
            }
        }
        Ok(events)
    }

    pub(super) fn relocate(&self, id: NodeId, to: Option<NodeId>, around: Around<'_>) -> Decided {
        let found = self.node(id)?;
        around.may_arrange(found.level)?;
        if found.parent == to {
            return Ok(Vec::new());
        }
        // It is what keeps its case from being done.
        if (found.level, found.status) == (Level::Step, Status::Failed) {
            return Err(GraphRejected::FailedStep { step: id }.into());
        }
        if let Some(case) = self.case_of(found).filter(|case| case.id != id) {
            self.may_touch(case, around)?;
        }
        self.may_contain(to, found.level, around)?;
        if let Some(to) = to {
            let without = Without { child: Some(id) };
            let is_in = CycleEdge { from: id, word: "is in", to };
            self.closes_no_cycle(Point::Begin(to), Point::Begin(id), without, is_in)?;
            let contains = CycleEdge { from: to, word: "contains", to: id };
            self.closes_no_cycle(Point::End(id), Point::End(to), without, contains)?;
        }
        Ok(vec![GraphEvent::NodeMoved { node: id, from: found.parent, to }])
    }

    /// Whether an edge that makes one point need another leaves everything possible.
    fn closes_no_cycle(
        &self,
        from: Point,
        to: Point,
        without: Without,
        edge: CycleEdge,
    ) -> Result<(), GraphRejected> {
        let Some(way) = self.way(from, to, without)? else { return Ok(()) };
        let mut edges = vec![edge];
        edges.extend(self.edges_along(&way));
        Err(GraphRejected::Cycle { edges })
    }

    pub(super) fn add_edge(
        &self,
        (from, to): (NodeId, NodeId),
        edge_type: EdgeType,
        mode: DependsMode,
        around: Around<'_>,
    ) -> Decided {
        let (waits, awaits, link) = match edge_type {
            EdgeType::Contains => return self.contain(from, to, around),
            EdgeType::DependsOn => (self.node(from)?, self.node(to)?, Link::DependsOn { mode }),
            EdgeType::Blocks => (self.node(to)?, self.node(from)?, Link::Blocks),
        };
        if let Some(there) = waits.waits_for.get(&awaits.id) {
            let edge = CycleEdge::waiting(waits.id, awaits.id, *there);
            let is_same = *there == link;
            let otherwise = GraphRejected::LinkedOtherwise { edge };
            return if is_same { Ok(Vec::new()) } else { Err(otherwise.into()) };
        }
        let fits = |count: usize| count < MAX_LINKS_OF_NODE;
        node::within("what a node waits for", fits(waits.waits_for.len()), "256 nodes")?;
        let fits = awaits.awaited_by.len() < MAX_WAITING;
        node::within("what waits for a node", fits, "4096 nodes")?;
        let edge = CycleEdge::waiting(waits.id, awaits.id, link);
        let (begin, end) = (Point::Begin(waits.id), Point::End(awaits.id));
        self.closes_no_cycle(end, begin, Without::default(), edge)?;
        Ok(vec![GraphEvent::EdgeAdded { waits: waits.id, awaits: awaits.id, link }])
    }

    fn contain(&self, above: NodeId, below: NodeId, around: Around<'_>) -> Decided {
        self.node(above)?;
        match self.node(below)?.parent {
            Some(parent) if parent != above => {
                Err(GraphRejected::HasParent { node: below, parent }.into())
            }
            Some(_) | None => self.relocate(below, Some(above), around),
        }
    }

    pub(super) fn remove_edge(
        &self,
        (from, to): (NodeId, NodeId),
        edge_type: EdgeType,
        around: Around<'_>,
    ) -> Decided {
        let (first, second) = (self.node(from)?, self.node(to)?);
        let no_edge = GraphRejected::NoEdge { from, to, edge_type };
        let (waits, awaits) = match edge_type {
            EdgeType::Contains if second.parent == Some(from) => {
                return self.relocate(to, None, around);
            }
            EdgeType::Contains => return Err(no_edge.into()),
            EdgeType::DependsOn => (first, to),
            EdgeType::Blocks => (second, from),
        };
        let is_one = match waits.waits_for.get(&awaits) {
            Some(Link::DependsOn { .. }) => edge_type == EdgeType::DependsOn,
            Some(Link::Blocks) => edge_type == EdgeType::Blocks,
            None => false,
        };
        if is_one {
            Ok(vec![GraphEvent::EdgeRemoved { waits: waits.id, awaits }])
        } else {
            Err(no_edge.into())
        }
    }

    pub(super) fn put_item(&self, id: NodeId, item: &ChecklistItem, around: Around<'_>) -> Decided {
        let found = self.node(id)?;
        node::checklist_item(item)?;
        self.has_bytes(Purpose::Other, around)?;
        let is_new = !found.checklist.contains_key(&item.item_text);
        let fits = !is_new || found.checklist.len() < MAX_CHECKLIST;
        node::within("the checklist", fits, "100 lines")?;
        Ok(vec![GraphEvent::ChecklistPut { node: id, item: item.clone() }])
    }

    pub(super) fn take_snapshot(
        &self,
        id: NodeId,
        snapshot_type: &str,
        note: &Note,
        around: Around<'_>,
    ) -> Decided {
        let found = self.node(id)?;
        node::word("snapshot_type", snapshot_type)?;
        node::text("the summary", note.summary.as_deref().unwrap_or_default())?;
        node::text("next_action", note.next_action.as_deref().unwrap_or_default())?;
        node::names("affected_files", &note.affected_files)?;
        self.has_bytes(Purpose::Other, around)?;
        let snapshot = Snapshot {
            number: found.next_snapshot(),
            taken_at: around.now,
            snapshot_type: snapshot_type.to_owned(),
            status: found.status,
            children: found.tally,
            summary: note.summary.clone(),
            affected_files: note.affected_files.clone(),
            next_action: note.next_action.clone(),
        };
        Ok(vec![GraphEvent::SnapshotTaken { node: id, snapshot }])
    }

    pub(super) fn put(&mut self, event: &GraphEvent, at: Timestamp) {
        let GraphEvent::NodeCreated {
            node: id, level, title, priority, status, details, by, ..
        } = event
        else {
            return;
        };
        let GraphEvent::NodeCreated { parent, .. } = event else { return };
        if self.nodes.contains_key(id) {
            return;
        }
        self.last_node = self.last_node.max(id.0);
        self.by_creator.entry(by.clone()).or_default().nodes += 1;
        let node = Node {
            id: *id,
            level: *level,
            parent: None,
            title: title.clone(),
            priority: *priority,
            status: *status,
            details: details.clone(),
            by: by.clone(),
            created_at: at,
            changed_at: at,
            merged: None,
            approval: Approval::Unasked,
            children: BTreeSet::new(),
            tally: Tally::default(),
            waits_for: BTreeMap::new(),
            awaited_by: BTreeSet::new(),
            checklist: BTreeMap::new(),
            snapshots: VecDeque::new(),
            contract: None,
            checkpoints: VecDeque::new(),
            artifacts: Vec::new(),
            unmet: 0,
            held_back: 0,
            ready: None,
            counted_bytes: 0,
        };
        self.nodes.insert(*id, node);
        self.with(*id, |_| {});
        self.place(*id);
        self.put_below(*id, *parent);
    }

    /// Puts a node below another, or below none.
    pub(super) fn put_below(&mut self, id: NodeId, to: Option<NodeId>) {
        let Some(node) = self.nodes.get(&id) else { return };
        let (from, status) = (node.parent, node.status);
        if from == to || to.is_some_and(|to| !self.nodes.contains_key(&to)) {
            return;
        }
        if let Some(parent) = from.and_then(|from| self.nodes.get_mut(&from)) {
            parent.children.remove(&id);
            let parent = parent.id;
            self.count(parent, Some(status), None);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.parent = to;
        }
        if let Some(parent) = to.and_then(|to| self.nodes.get_mut(&to)) {
            parent.children.insert(id);
            let parent = parent.id;
            self.count(parent, None, Some(status));
        }
        self.look_at_above(id);
    }

    pub(super) fn join(&mut self, waits: NodeId, awaits: NodeId, link: Link) {
        if waits == awaits || !self.nodes.contains_key(&awaits) {
            return;
        }
        let Some(node) = self.nodes.get_mut(&waits) else { return };
        node.waits_for.insert(awaits, link);
        if let Some(node) = self.nodes.get_mut(&awaits) {
            node.awaited_by.insert(waits);
        }
        self.look_at_waits(waits);
    }

    pub(super) fn part(&mut self, waits: NodeId, awaits: NodeId) {
        if let Some(node) = self.nodes.get_mut(&waits) {
            node.waits_for.remove(&awaits);
        }
        if let Some(node) = self.nodes.get_mut(&awaits) {
            node.awaited_by.remove(&waits);
        }
        self.look_at_waits(waits);
    }
}

/// Whether a node of this level is given this status by hand.
fn may_be_set(level: Level, status: Status) -> Result<(), GraphRejected> {
    let by = match level {
        Level::Case => match status {
            Status::Done => Some("case.complete"),
            Status::InProgress => Some("resume.next or case.begin"),
            Status::Todo | Status::Blocked | Status::Failed | Status::Cancelled => None,
        },
        Level::Step => match status {
            Status::Done | Status::Failed => Some("step.check"),
            Status::Todo | Status::InProgress | Status::Blocked | Status::Cancelled => None,
        },
        Level::Initiative
        | Level::Plan
        | Level::Slice
        | Level::Epic
        | Level::Feature
        | Level::TestGroup => None,
    };
    by.map_or(Ok(()), |by| Err(GraphRejected::OwnCall { level, status, by }))
}

/// The node is at its end.
pub(super) fn over(node: &Node) -> GraphRejected {
    GraphRejected::Over { node: node.id, level: node.level, status: node.status }
}
