//! Which nodes wait for which, and that nothing ever waits for itself.
//!
//! Each node has a beginning and an end. It begins after what contains it has begun, and after what it
//! waits for has ended; it ends after it has begun, and after what it contains has ended. A cycle of
//! these is something that could never be done, through whichever kinds of edges it goes.

use std::collections::{BTreeMap, VecDeque};

use cxo_protocol::graph::NodeId;

use super::Graph;
use super::command::{CycleEdge, GraphRejected};

/// Edges that are looked at from each end for one that is new. Everybody waits meanwhile.
pub(super) const MAX_LOOKS: usize = 25_000;

/// The beginning or the end of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Point {
    Begin(NodeId),
    End(NodeId),
}

/// Containment that is as good as gone, because the node is being moved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Without {
    pub(super) child: Option<NodeId>,
}

impl Without {
    fn is(self, child: NodeId) -> bool {
        self.child == Some(child)
    }
}

type Points<'a> = Box<dyn Iterator<Item = Point> + 'a>;

/// One direction of a search: what was seen and from where, and what is looked at next.
struct Side<'a> {
    came_from: BTreeMap<Point, Option<Point>>,
    queue: VecDeque<Point>,
    looking: Option<(Point, Points<'a>)>,
}

impl<'a> Side<'a> {
    fn new(start: Point) -> Self {
        Self {
            came_from: BTreeMap::from([(start, None)]),
            queue: VecDeque::from([start]),
            looking: None,
        }
    }

    /// Looks along one edge. `None` when there is nothing left to look at, otherwise the point that
    /// was met for the first time, if one was.
    #[expect(clippy::option_option, reason = "the end, nothing new, or a new point")]
    fn step(&mut self, beside: impl Fn(Point) -> Points<'a>) -> Option<Option<Point>> {
        if let Some((from, points)) = &mut self.looking {
            if let Some(point) = points.next() {
                if self.came_from.contains_key(&point) {
                    return Some(None);
                }
                self.came_from.insert(point, Some(*from));
                self.queue.push_back(point);
                return Some(Some(point));
            }
            self.looking = None;
        }
        let next = self.queue.pop_front()?;
        self.looking = Some((next, beside(next)));
        Some(None)
    }

    /// The way from where this side began to a point, that point last.
    fn way_to(&self, point: Point) -> Vec<Point> {
        let mut way = vec![point];
        let mut at = point;
        while let Some(Some(before)) = self.came_from.get(&at) {
            way.push(*before);
            at = *before;
        }
        way.reverse();
        way
    }
}

impl Graph {
    /// A way from one point to another, along what each needs. Looked for from both ends in turn, an
    /// edge at a time: it costs twice what the end costs that has less around it, and what is new
    /// has next to nothing.
    pub(super) fn way(
        &self,
        from: Point,
        to: Point,
        without: Without,
    ) -> Result<Option<Vec<Point>>, GraphRejected> {
        let (mut forth, mut back) = (Side::new(from), Side::new(to));
        if from == to {
            return Ok(Some(vec![from]));
        }
        for _ in 0..MAX_LOOKS {
            let Some(ahead) = forth.step(|point| self.needs(point, without)) else {
                return Ok(None);
            };
            let mut met = ahead.filter(|point| back.came_from.contains_key(point));
            if met.is_none() {
                let Some(behind) = back.step(|point| self.needed_by(point, without)) else {
                    return Ok(None);
                };
                met = behind.filter(|point| forth.came_from.contains_key(point));
            }
            if let Some(met) = met {
                let mut way = forth.way_to(met);
                way.extend(back.way_to(met).into_iter().rev().skip(1));
                return Ok(Some(way));
            }
        }
        Err(GraphRejected::TooEntangled { limit: MAX_LOOKS })
    }

    pub(super) fn needs(&self, point: Point, without: Without) -> Points<'_> {
        match point {
            Point::Begin(id) => {
                let node = self.nodes.get(&id);
                let parent = node.and_then(|node| node.parent).filter(|_| !without.is(id));
                let awaited = node.into_iter().flat_map(|node| node.waits_for.keys());
                Box::new(
                    parent.map(Point::Begin).into_iter().chain(awaited.copied().map(Point::End)),
                )
            }
            Point::End(id) => {
                let children = self.nodes.get(&id).into_iter().flat_map(|node| &node.children);
                let children = children.copied().filter(move |child| !without.is(*child));
                Box::new(std::iter::once(Point::Begin(id)).chain(children.map(Point::End)))
            }
        }
    }

    pub(super) fn needed_by(&self, point: Point, without: Without) -> Points<'_> {
        match point {
            Point::Begin(id) => {
                let children = self.nodes.get(&id).into_iter().flat_map(|node| &node.children);
                let children = children.copied().filter(move |child| !without.is(*child));
                Box::new(std::iter::once(Point::End(id)).chain(children.map(Point::Begin)))
            }
            Point::End(id) => {
                let node = self.nodes.get(&id);
                let parent = node.and_then(|node| node.parent).filter(|_| !without.is(id));
                let waiting = node.into_iter().flat_map(|node| &node.awaited_by);
                Box::new(
                    parent.map(Point::End).into_iter().chain(waiting.copied().map(Point::Begin)),
                )
            }
        }
    }

    /// The edges of the graph that a way goes along.
    pub(super) fn edges_along(&self, way: &[Point]) -> Vec<CycleEdge> {
        let steps = way.iter().zip(way.iter().skip(1));
        steps
            .filter_map(|(one, next)| match (*one, *next) {
                (Point::Begin(waits), Point::End(awaits)) => {
                    let link = self.nodes.get(&waits)?.waits_for.get(&awaits)?;
                    Some(CycleEdge::waiting(waits, awaits, *link))
                }
                (Point::End(from), Point::End(to)) => {
                    Some(CycleEdge { from, word: "contains", to })
                }
                (Point::Begin(from), Point::Begin(to)) => {
                    Some(CycleEdge { from, word: "is in", to })
                }
                (Point::End(_), Point::Begin(_)) => None,
            })
            .collect()
    }
}
