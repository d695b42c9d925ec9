//! What follows from the facts, kept with each of them: how nodes with children stand, what waits, and
//! which cases can be taken. A change costs what it changes; nothing is searched for.

use std::cmp::Reverse;

use cxo_protocol::graph::{Approval, DependsMode, Level, Link, NodeId, Status, Tally};

use super::Graph;
use super::node::Node;

/// The place of a case among those that can be taken: what was begun first, then what was set aside,
/// then what was not begun; of those the more urgent, then the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ready {
    turn: u8,
    urgency: Reverse<u32>,
    pub(super) case: NodeId,
}

/// How a node stands whose children stand like this; `None` if it has none.
///
/// Something that goes on goes on as a whole. What failed is told before what waits, and what waits
/// before what was not begun. What was cancelled counts only where nothing else is left.
pub fn rolled_up(children: &Tally) -> Option<Status> {
    let wanted = children.all() - children.cancelled;
    if children.all() == 0 {
        None
    } else if wanted == 0 {
        Some(Status::Cancelled)
    } else if children.done == wanted {
        Some(Status::Done)
    } else if children.in_progress > 0 {
        Some(Status::InProgress)
    } else if children.failed > 0 {
        Some(Status::Failed)
    } else if children.blocked > 0 {
        Some(Status::Blocked)
    } else if children.done > 0 {
        Some(Status::InProgress)
    } else {
        Some(Status::Todo)
    }
}

/// Whether a node is as far as one that waits for it needs it to be.
pub(super) fn is_met(link: Link, awaited: &Node) -> bool {
    match link {
        Link::DependsOn { mode: DependsMode::OnBranch } => awaited.status == Status::Done,
        Link::DependsOn { mode: DependsMode::AfterMerge } => {
            awaited.status == Status::Done && awaited.merged.is_some()
        }
        Link::Blocks => matches!(awaited.status, Status::Done | Status::Cancelled),
    }
}

impl Graph {
    /// Gives a node a status, with all that follows from it.
    pub(super) fn settle(&mut self, id: NodeId, status: Status) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let before = std::mem::replace(&mut node.status, status);
        if before == status {
            return;
        }
        if status != Status::Done {
            node.merged = None;
        }
        node.approval = Approval::Unasked;
        let parent = node.parent;
        self.place(id);
        self.tell_waiting(id);
        if let Some(parent) = parent {
            self.count(parent, Some(before), Some(status));
        }
    }

    /// Counts a child of a node in another status, and lets the node stand as its children do.
    pub(super) fn count(&mut self, id: NodeId, before: Option<Status>, after: Option<Status>) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some(before) = before {
            let counted = node.tally.of_mut(before);
            *counted = counted.saturating_sub(1);
        }
        if let Some(after) = after {
            *node.tally.of_mut(after) += 1;
        }
        self.forget_approvals(id);
        let Some(node) = self.nodes.get(&id) else { return };
        if node.level.rolls_up()
            && let Some(status) = rolled_up(&node.tally)
        {
            self.settle(id, status);
        }
    }

    /// What came of a node is another result now, and so is that of all that contains it: nobody has
    /// said yes to it.
    fn forget_approvals(&mut self, id: NodeId) {
        let mut above = Some(id);
        while let Some(node) = above.and_then(|id| self.nodes.get_mut(&id)) {
            node.approval = Approval::Unasked;
            above = node.parent;
        }
    }

    /// Those who wait for a node look at it anew.
    pub(super) fn tell_waiting(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        for waiting in node.awaited_by.clone() {
            self.look_at_waits(waiting);
        }
    }

    /// Counts what a node waits for itself. Whether it waits at all holds for all that it contains.
    pub(super) fn look_at_waits(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let unmet = node.waits_for.iter().filter(|(awaited, link)| {
            self.nodes.get(awaited).is_none_or(|awaited| !is_met(**link, awaited))
        });
        let unmet = u32::try_from(unmet.count()).unwrap_or(u32::MAX);
        let (waited, waits) = (node.unmet > 0, unmet > 0);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.unmet = unmet;
        }
        if waited != waits {
            self.hold_back(id, waits);
        }
    }

    /// Everything below a node waits with it, or does so no more.
    fn hold_back(&mut self, id: NodeId, waits: bool) {
        self.place(id);
        let mut below: Vec<NodeId> = self.below(id);
        while let Some(id) = below.pop() {
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            node.held_back =
                if waits { node.held_back + 1 } else { node.held_back.saturating_sub(1) };
            self.place(id);
            below.extend(self.below(id));
        }
    }

    /// What a node contains, where that can be taken or contain what can.
    fn below(&self, id: NodeId) -> Vec<NodeId> {
        let node = self.nodes.get(&id).filter(|node| node.level.rolls_up());
        node.map(|node| node.children.iter().copied().collect()).unwrap_or_default()
    }

    /// Counts anew by how many of those above them a node and all below it are held back.
    pub(super) fn look_at_above(&mut self, id: NodeId) {
        let mut left = vec![id];
        while let Some(id) = left.pop() {
            let above = self.nodes.get(&id).and_then(|node| node.parent);
            let above = above.and_then(|above| self.nodes.get(&above));
            let held_back = above.map_or(0, |above| above.held_back + u32::from(above.unmet > 0));
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            if std::mem::replace(&mut node.held_back, held_back) != held_back {
                self.place(id);
                left.extend(self.below(id));
            }
        }
    }

    /// Puts a case to its place among those that can be taken, or takes it from there.
    pub(super) fn place(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let ready = self.ready_place(node);
        if ready == node.ready {
            return;
        }
        if let Some(before) = node.ready {
            self.ready.remove(&before);
        }
        self.ready.extend(ready);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.ready = ready;
        }
    }

    pub(super) fn ready_place(&self, node: &Node) -> Option<Ready> {
        if node.level != Level::Case || node.waits() || self.claims.get(node.id).is_some() {
            return None;
        }
        let turn = match node.status {
            Status::InProgress => 0,
            Status::Blocked => 1,
            Status::Todo => 2,
            Status::Done | Status::Failed | Status::Cancelled => return None,
        };
        Some(Ready { turn, urgency: Reverse(node.priority), case: node.id })
    }
}
