//! What can never be true of the work graph: all that is kept with each event, computed the slow way
//! from nothing and compared.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::graph::{Level, NodeId, Status, Tally};

use super::claims::MAX_CLAIMS_TAKEN_OVER;
use super::edges::{Point, Without};
use super::rollup::{is_met, rolled_up};
use super::room::Made;
use super::{Graph, MAX_BYTES, MAX_LINKS_OF_NODE, MAX_NODES, MAX_WAITING, Node};
use crate::violations::Violation;

/// Where a rule is broken is found out, and said.
type Expect<'a> = &'a mut dyn FnMut(bool, &'static str, NodeId);

impl Graph {
    /// Everything about the graph that must not be. Empty, always.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut expect = |holds: bool, rule: &'static str, node: NodeId| {
            if !holds {
                found.push(Violation { rule, place: format!("node {node}") });
            }
        };
        for node in self.nodes.values() {
            self.check_place(node, &mut expect);
            self.check_waits(node, &mut expect);
        }
        self.check_claims(&mut expect);
        self.check_sums(&mut expect);
        for stuck in self.never_done() {
            expect(false, "nothing waits for itself", stuck);
        }
        found
    }

    fn check_place(&self, node: &Node, expect: Expect<'_>) {
        let id = node.id;
        let mut tally = Tally::default();
        for child in node.children.iter().filter_map(|child| self.nodes.get(child)) {
            *tally.of_mut(child.status) += 1;
            expect(child.parent == Some(id), "a child knows its parent", child.id);
            let may = node.level.may_contain(child.level);
            expect(may, "a node contains what stands below it", child.id);
        }
        expect(tally == node.tally, "children are counted by status", id);
        let rolled = rolled_up(&tally).filter(|_| node.level.rolls_up());
        expect(rolled.is_none_or(|rolled| rolled == node.status), "a status rolls up", id);
        let known = node.parent.map(|parent| {
            self.nodes.get(&parent).is_some_and(|parent| parent.children.contains(&id))
        });
        expect(known != Some(false), "a parent knows its child", id);
        expect(node.level != Level::Step || known.is_some(), "a step stands in a case", id);
        let is_done = node.status == Status::Done;
        expect(node.merged.is_none() || is_done, "what is merged is done", id);
        let ended = tally.done + tally.cancelled == tally.all();
        expect(node.level != Level::Case || !is_done || ended, "a done case has no step left", id);
    }

    fn check_waits(&self, node: &Node, expect: Expect<'_>) {
        let id = node.id;
        let unmet = node.waits_for.iter().filter(|(awaited, link)| {
            self.nodes.get(awaited).is_none_or(|awaited| !is_met(**link, awaited))
        });
        let unmet = u32::try_from(unmet.count());
        expect(unmet == Ok(node.unmet), "what a node waits for is counted", id);
        let above = self.upwards(id).skip(1).filter(|above| above.unmet > 0);
        let above = u32::try_from(above.count());
        let is_step = node.level == Level::Step;
        expect(is_step || above == Ok(node.held_back), "what holds a node back is counted", id);
        for awaited in node.waits_for.keys() {
            let awaited = self.nodes.get(awaited);
            let knows = awaited.is_some_and(|awaited| awaited.awaited_by.contains(&id));
            expect(knows, "a node knows who waits for it", id);
        }
        let fits = node.waits_for.len() <= MAX_LINKS_OF_NODE;
        expect(fits, "what a node waits for is bounded", id);
        expect(node.awaited_by.len() <= MAX_WAITING, "what waits for a node is bounded", id);
        expect(node.ready == self.ready_place(node), "a case is in its place", id);
    }

    fn check_claims(&self, expect: Expect<'_>) {
        let (mut by_session, mut by_expiry) = (BTreeMap::new(), BTreeSet::new());
        let mut fences = BTreeSet::new();
        for claim in self.claims.iter() {
            let case = self.nodes.get(&claim.case);
            let is_begun = case
                .is_some_and(|case| (case.level, case.status) == (Level::Case, Status::InProgress));
            expect(is_begun, "a claim is on a case that goes on", claim.case);
            let is_own = fences.insert(claim.fence) && claim.fence <= self.claims.last_fence;
            expect(is_own, "each claim has a fence of its own", claim.case);
            by_expiry.insert((claim.expires_at, claim.case));
            let own: &mut BTreeSet<NodeId> = by_session.entry(claim.session.clone()).or_default();
            own.insert(claim.case);
        }
        let all = NodeId(0);
        expect(by_session == self.claims.by_session, "claims are found by session", all);
        expect(by_expiry == self.claims.by_expiry, "claims are found by their end", all);
        let of_one = by_session.values().map(BTreeSet::len).max().unwrap_or_default();
        expect(of_one <= MAX_CLAIMS_TAKEN_OVER, "claims are bounded", all);
    }

    fn check_sums(&self, expect: Expect<'_>) {
        let all = NodeId(0);
        let bytes: usize = self.nodes.values().map(Node::bytes).sum();
        expect(bytes == self.bytes, "bytes are counted", all);
        expect(bytes <= MAX_BYTES * 2, "bytes are bounded", all);
        expect(self.nodes.len() <= MAX_NODES, "nodes are bounded", all);
        let mut by_creator: BTreeMap<_, Made> = BTreeMap::new();
        for node in self.nodes.values() {
            let made = by_creator.entry(node.by.clone()).or_default();
            made.nodes += 1;
            made.bytes += node.bytes();
        }
        expect(by_creator == self.by_creator, "nodes are counted by who made them", all);
        let ready = self.nodes.values().filter_map(|node| self.ready_place(node));
        let ready: BTreeSet<_> = ready.collect();
        expect(ready == self.ready, "the ready set is kept", all);
    }

    /// Nodes that could never be done: what is left when all that needs nothing is taken away, again
    /// and again.
    fn never_done(&self) -> BTreeSet<NodeId> {
        let points = self.nodes.keys().flat_map(|id| [Point::Begin(*id), Point::End(*id)]);
        let without = Without::default();
        let mut needs: BTreeMap<Point, usize> =
            points.map(|point| (point, self.needs(point, without).count())).collect();
        let mut free: Vec<Point> =
            needs.iter().filter(|(_, count)| **count == 0).map(|(point, _)| *point).collect();
        while let Some(point) = free.pop() {
            needs.remove(&point);
            for waiting in self.needed_by(point, without) {
                if let Some(count) = needs.get_mut(&waiting) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(waiting);
                    }
                }
            }
        }
        let node_of = |point: &Point| match point {
            Point::Begin(id) | Point::End(id) => *id,
        };
        needs.keys().map(node_of).collect()
    }
}
