//! Plans: an initiative is cut into slices that fit one context each, and what came of a node is
//! submitted for a yes.

use std::collections::BTreeSet;
use std::fmt;

use cxo_protocol::graph::{
    Approval, DependsMode, Details, GraphEvent, Level, Link, NodeId, ReplanReason, Status, Tally,
    Verdict,
};

use super::command::{GraphRejected, NewNode, NewSlice, Note};
use super::node::{self, Node};
use super::structure::over;
use super::{Around, Decided, Graph, MAX_LINKS_OF_NODE, MAX_WAITING};

/// Slices that are made by one call.
const MAX_SLICES_AT_ONCE: usize = 100;

/// Nodes that are looked at for a roll-up. Of a larger one the figures say that they are not all.
const MAX_ROLLED_UP: usize = 10_000;

/// Files that a roll-up names.
const MAX_FILES_NAMED: usize = 1_000;

/// Open nodes that a roll-up names.
const MAX_OPEN_NAMED: usize = 100;

/// Parts of a split that are named.
const MAX_PARTS_NAMED: usize = 20;

/// The type of the snapshots that are submitted for a yes.
const ROLLUP: &str = "rollup";

/// What fits one context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceLimits {
    /// Tokens of context.
    pub tokens: u64,
    /// Files.
    pub files: usize,
}

impl Default for SliceLimits {
    fn default() -> Self {
        Self { tokens: 18_000, files: 12 }
    }
}

/// A slice that does not fit, and the split that would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oversized {
    /// Its title.
    pub title: String,
    /// The tokens that it is thought to take.
    pub tokens: u64,
    /// How many files it touches.
    pub files: usize,
    /// The limits that it has to keep.
    pub limits: SliceLimits,
    /// How many parts would fit.
    pub parts: u64,
    /// The first of them.
    pub split: Vec<Part>,
}

/// A part of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The tokens that it is thought to take.
    pub tokens: u64,
    /// The files that it touches.
    pub files: Vec<String>,
}

impl fmt::Display for Oversized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, tokens, files, limits, parts, split } = self;
        write!(
            f,
            "`{title}` takes {tokens} tokens and {files} files, of {} and {}; it fits in {parts} parts",
            limits.tokens, limits.files,
        )?;
        for (at, part) in split.iter().enumerate() {
            let colon = if at == 0 { ':' } else { ';' };
            write!(f, "{colon} {} tokens", part.tokens)?;
            if !part.files.is_empty() {
                write!(f, " with {}", part.files.join(", "))?;
            }
        }
        Ok(())
    }
}

impl SliceLimits {
    /// Whether all of these slices fit; otherwise the split of each that does not.
    pub(super) fn admit<'a>(
        self,
        slices: impl IntoIterator<Item = (&'a str, &'a Details)>,
    ) -> Result<(), GraphRejected> {
        let oversized: Vec<Oversized> = slices
            .into_iter()
            .filter_map(|(title, details)| self.oversized(title, details))
            .collect();
        if oversized.is_empty() {
            Ok(())
        } else {
            Err(GraphRejected::SliceTooLarge { slices: oversized })
        }
    }

    fn oversized(self, title: &str, details: &Details) -> Option<Oversized> {
        let tokens = details.token_estimate.unwrap_or_default();
        let files = details.affected_files.as_deref().unwrap_or_default();
        if tokens <= self.tokens && files.len() <= self.files {
            return None;
        }
        Some(Oversized {
            title: title.to_owned(),
            tokens,
            files: files.len(),
            limits: self,
            parts: self.parts(tokens, files),
            split: self.split(tokens, files),
        })
    }

    /// In how many parts so much fits.
    fn parts(self, tokens: u64, files: &[String]) -> u64 {
        let by_tokens = tokens.div_ceil(self.tokens.max(1));
        let by_files = u64::try_from(files.len().div_ceil(self.files.max(1))).unwrap_or(u64::MAX);
        by_tokens.max(by_files).max(1)
    }

    /// Parts that fit, the first of them, as even as they can be: the files in their order, the tokens
    /// by parts.
    pub(super) fn split(self, tokens: u64, files: &[String]) -> Vec<Part> {
        let count = self.parts(tokens, files);
        let mut left = files;
        let mut tokens_left = tokens;
        (0..count)
            .take(MAX_PARTS_NAMED)
            .map(|nth| {
                let parts_left = count - nth;
                let many = left.len().div_ceil(usize::try_from(parts_left).unwrap_or(usize::MAX));
                let (files, rest) = left.split_at(many);
                let tokens = tokens_left.div_ceil(parts_left);
                left = rest;
                tokens_left -= tokens;
                Part { tokens, files: files.to_vec() }
            })
            .collect()
    }
}

/// How a slice is planned again.
pub(super) struct Replan<'a> {
    pub(super) reason: ReplanReason,
    pub(super) affected_files: Option<&'a [String]>,
    pub(super) next_action: Option<&'a str>,
}

/// What came of a node and all that it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rollup {
    /// How the nodes below it stand.
    pub below: Tally,
    /// The tokens that those without children were thought to take.
    pub token_estimate: u64,
    /// The files that the nodes below were thought to touch, in order, the first of them.
    pub affected_files: BTreeSet<String>,
    /// Nodes below it that have no children and are not at their end, the first of them.
    pub open: Vec<NodeId>,
    /// Whether there were more nodes than are looked at.
    pub is_cut: bool,
}

impl Graph {
    pub(super) fn bootstrap(
        &self,
        initiative: &NewNode,
        plan: &NewNode,
        around: Around<'_>,
    ) -> Decided {
        for new in [initiative, plan] {
            node::title(&new.title)?;
            node::priority(new.priority)?;
            node::details(&new.details)?;
        }
        self.has_room(2, around)?;
        let first = self.created(initiative, 0, around);
        let plan = NewNode { parent: first.nodes().first().copied(), ..plan.clone() };
        let second = self.created(&plan, 1, around);
        Ok(vec![first, second])
    }

    pub(super) fn generate_slices(
        &self,
        plan: NodeId,
        slices: &[NewSlice],
        around: Around<'_>,
    ) -> Decided {
        self.of_level(plan, Level::Plan)?;
        if slices.is_empty() {
            return Err(GraphRejected::Missing { what: "slice_specs" }.into());
        }
        let fits = slices.len() <= MAX_SLICES_AT_ONCE;
        node::within("slice_specs", fits, "100 slices")?;
        for (nth, slice) in slices.iter().enumerate() {
            node::title(&slice.title)?;
            node::priority(slice.priority)?;
            node::details(&slice.details)?;
            if slice.depends_on.iter().any(|awaited| *awaited >= nth) {
                return Err(GraphRejected::Missing {
                    what: "a slice that stands before it, for `depends_on`",
                }
                .into());
            }
        }
        let sizes = slices.iter().map(|slice| (slice.title.as_str(), &slice.details));
        around.limits.admit(sizes)?;
        self.has_room(slices.len(), around)?;
        let numbered = || slices.iter().zip(0_u64..);
        let created = numbered().map(|(slice, nth)| {
            let new = NewNode {
                level: Level::Slice,
                title: slice.title.clone(),
                parent: Some(plan),
                priority: slice.priority,
                status: Status::Todo,
                details: slice.details.clone(),
            };
            self.created(&new, nth, around)
        });
        let id = |nth: u64| NodeId(self.last_node + 1 + nth);
        let edges = numbered().flat_map(|(slice, nth)| {
            let awaited: BTreeSet<u64> =
                slice.depends_on.iter().filter_map(|at| u64::try_from(*at).ok()).collect();
            awaited.into_iter().map(move |at| (nth, at))
        });
        let edges = edges.map(|(waits, awaits)| GraphEvent::EdgeAdded {
            waits: id(waits),
            awaits: id(awaits),
            link: Link::DependsOn { mode: DependsMode::OnBranch },
        });
        Ok(created.chain(edges).collect())
    }

    pub(super) fn replan(&self, id: NodeId, asked: &Replan<'_>, around: Around<'_>) -> Decided {
        let slice = self.of_level(id, Level::Slice)?;
        if matches!(slice.status, Status::Done | Status::Cancelled) {
            return Err(over(slice).into());
        }
        let note = Note {
            summary: None,
            affected_files: asked.affected_files.unwrap_or_default().to_vec(),
            next_action: asked.next_action.map(str::to_owned),
        };
        let word = format!("replan-{}", asked.reason);
        let mut events = self.take_snapshot(id, &word, &note, around)?;
        let status = match asked.reason {
            ReplanReason::ContextOverflow => {
                events.extend(self.cut_in_two(slice, asked, around)?);
                Status::Todo
            }
            ReplanReason::ScopeChange => {
                let missing = GraphRejected::Missing { what: "affected_files" };
                let files = asked.affected_files.ok_or(missing)?.to_vec();
                let mut details = slice.details.clone();
                details.affected_files = Some(files.clone());
                around.limits.admit([(slice.title.as_str(), &details)])?;
                let details = Details { affected_files: Some(files), ..Details::default() };
                events.push(changed(id, details));
                Status::Todo
            }
            ReplanReason::Blocked => Status::Blocked,
        };
        // With children, they say how it stands.
        if slice.tally.all() == 0 && slice.status != status {
            events.push(GraphEvent::StatusSet { node: id, status });
        }
        Ok(events)
    }

    /// The slice keeps the first half of its files, and a new one beside it gets the second. Both wait
    /// for what it waited for, and what waited for it waits for both.
    fn cut_in_two(&self, slice: &Node, asked: &Replan<'_>, around: Around<'_>) -> Decided {
        let own = slice.details.affected_files.as_deref().unwrap_or_default();
        let files = asked.affected_files.unwrap_or(own);
        if files.len() < 2 {
            let files = files.len();
            return Err(GraphRejected::CannotSplit { slice: slice.id, files }.into());
        }
        self.has_room(1, around)?;
        self.may_be_doubled(slice)?;
        let (first, second) = files.split_at(files.len().div_ceil(2));
        let tokens = slice.details.token_estimate;
        let half = |files: &[String], tokens: Option<u64>| Details {
            token_estimate: tokens,
            affected_files: Some(files.to_vec()),
            ..Details::default()
        };
        let first = half(first, tokens.map(|tokens| tokens.div_ceil(2)));
        let second = half(second, tokens.map(|tokens| tokens / 2));
        let title = format!("{} (second half)", slice.title);
        node::title(&title)?;
        around.limits.admit([(slice.title.as_str(), &first), (title.as_str(), &second)])?;
        let mut rest = slice.details.clone();
        rest.take(&second);
        let new = NewNode {
            level: Level::Slice,
            title,
            parent: slice.parent,
            priority: slice.priority,
            status: Status::Todo,
            details: rest,
        };
        let beside = NodeId(self.last_node + 1);
        let mut events = vec![changed(slice.id, first), self.created(&new, 0, around)];
        events.extend(slice.waits_for.iter().map(|(awaits, link)| GraphEvent::EdgeAdded {
            waits: beside,
            awaits: *awaits,
            link: *link,
        }));
        let waiting = slice.awaited_by.iter().filter_map(|id| self.nodes.get(id));
        events.extend(waiting.filter_map(|waiting| {
            let link = *waiting.waits_for.get(&slice.id)?;
            Some(GraphEvent::EdgeAdded { waits: waiting.id, awaits: beside, link })
        }));
        Ok(events)
    }

    /// Whether all that a node is joined to may be joined to another one of its kind.
    fn may_be_doubled(&self, node: &Node) -> Result<(), GraphRejected> {
        let mut awaited = node.waits_for.keys().filter_map(|id| self.nodes.get(id));
        let fits = awaited.all(|awaited| awaited.awaited_by.len() < MAX_WAITING);
        node::within("what waits for a node", fits, "4096 nodes")?;
        let mut waiting = node.awaited_by.iter().filter_map(|id| self.nodes.get(id));
        let fits = waiting.all(|waiting| waiting.waits_for.len() < MAX_LINKS_OF_NODE);
        node::within("what a node waits for", fits, "256 nodes")
    }

    /// What came of a node and all that it contains.
    pub fn rollup(&self, id: NodeId) -> Result<Rollup, GraphRejected> {
        let mut found = Rollup::default();
        let mut left: Vec<NodeId> = self.node(id)?.children.iter().rev().copied().collect();
        let mut looked_at = 0;
        while let Some(node) = left.pop().and_then(|id| self.nodes.get(&id)) {
            if looked_at == MAX_ROLLED_UP {
                found.is_cut = true;
                break;
            }
            looked_at += 1;
            *found.below.of_mut(node.status) += 1;
            if node.children.is_empty() {
                let tokens = node.details.token_estimate.unwrap_or_default();
                found.token_estimate = found.token_estimate.saturating_add(tokens);
                if node.status.is_open() && found.open.len() < MAX_OPEN_NAMED {
                    found.open.push(node.id);
                }
            }
            for file in node.details.affected_files.iter().flatten() {
                if found.affected_files.len() < MAX_FILES_NAMED {
                    found.affected_files.insert(file.clone());
                }
            }
            left.extend(node.children.iter().rev());
        }
        Ok(found)
    }

    pub(super) fn submit(&self, id: NodeId, note: &Note, around: Around<'_>) -> Decided {
        let found = self.node(id)?;
        if found.status.is_open() {
            let children = found.children.iter().filter_map(|child| self.nodes.get(child));
            let open = children.filter(|child| child.status.is_open()).map(|child| child.id);
            let open = open.take(MAX_OPEN_NAMED).collect();
            return Err(GraphRejected::NoResult { node: id, status: found.status, open }.into());
        }
        let mut events = self.take_snapshot(id, ROLLUP, note, around)?;
        events.push(GraphEvent::ApprovalSet { node: id, approval: Approval::Submitted });
        Ok(events)
    }

    pub(super) fn judge(&self, id: NodeId, verdict: Verdict, snapshot: Option<u32>) -> Decided {
        let found = self.node(id)?;
        let approval = found.approval;
        if approval != Approval::Submitted {
            return Err(GraphRejected::NotSubmitted { node: id, approval }.into());
        }
        let mut results = found.snapshots.iter().rev().filter(|one| one.snapshot_type == ROLLUP);
        let newest = results.next().map(|result| result.number);
        if let Some(given) = snapshot.filter(|given| Some(*given) != newest) {
            return Err(GraphRejected::OldResult { node: id, given, newest }.into());
        }
        let approval = match verdict {
            Verdict::Approve => Approval::Approved,
            Verdict::Reject => Approval::Rejected,
        };
        Ok(vec![GraphEvent::ApprovalSet { node: id, approval }])
    }
}

fn changed(node: NodeId, details: Details) -> GraphEvent {
    GraphEvent::NodeChanged { node, title: None, priority: None, details }
}
