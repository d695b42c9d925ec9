//! How much room there is for nodes and for what is written in them, and for whom.

use super::node::Node;
use super::{Around, Graph, MAX_BYTES, NodeChange, PLACES};
use crate::shared::shares::Taken;
use crate::shared::{Places, SharedRejected};

/// What texts take. Those of a node count as its maker's, whoever wrote them.
pub(super) const BYTES: Places = Places {
    what: "bytes of text in the graph",
    all: MAX_BYTES,
    of_one_agent: MAX_BYTES / 4,
    kept_for_user: MAX_BYTES / 4,
};

/// Of what is kept for the user, so much is for cases, too: what was begun can be ended.
const FOR_CASES: usize = MAX_BYTES / 8;

/// What something is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To say how far a case is.
    Case,
    /// Anything else.
    Other,
}

/// What one caller has of the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
}

impl Graph {
    /// Whether there is room for so many nodes more, with their texts.
    pub(super) fn has_room(&self, more: usize, around: Around<'_>) -> Result<(), SharedRejected> {
        self.has_places(more, around)?;
        self.has_bytes(Purpose::Other, around)
    }

    /// Whether there are so many places more.
    pub(super) fn has_places(&self, more: usize, around: Around<'_>) -> Result<(), SharedRejected> {
        let taken = |count| Taken { count: count + more - 1, free_at: None };
        let own = self.by_creator.get(around.principal).copied().unwrap_or_default();
        PLACES.admit(around.principal, taken(self.nodes.len()), || taken(own.nodes))
    }

    /// Whether more texts may be kept. The last of them may go over it by its own bounds.
    pub(super) fn has_bytes(
        &self,
        purpose: Purpose,
        around: Around<'_>,
    ) -> Result<(), SharedRejected> {
        let taken = |count| Taken { count, free_at: None };
        let own = self.by_creator.get(around.principal).copied().unwrap_or_default();
        match purpose {
            // A case is somebody's to end, however much its session wrote elsewhere.
            Purpose::Case => {
                let kept_for_user = BYTES.kept_for_user - FOR_CASES;
                let places = Places { kept_for_user, of_one_agent: usize::MAX, ..BYTES };
                places.admit(around.principal, taken(self.bytes), || taken(0))
            }
            Purpose::Other => BYTES.admit(around.principal, taken(self.bytes), || taken(own.bytes)),
        }
    }

    /// Whether this may be said of a node anew: what takes no more than what it replaces may always.
    pub(super) fn may_say(
        &self,
        node: &Node,
        change: &NodeChange,
        around: Around<'_>,
    ) -> Result<(), SharedRejected> {
        let mut changed = node.clone();
        changed.say(change.title.as_ref(), change.priority, &change.details);
        if changed.bytes() <= node.bytes() {
            return Ok(());
        }
        self.has_bytes(Purpose::Other, around)
    }
}
