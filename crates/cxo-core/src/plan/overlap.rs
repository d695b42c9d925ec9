//! Tasks that may write the same file are ordered, so that the second starts from the first's work
//! instead of conflicting with it.
//!
//! The order is that of the plan's own dependencies, ties broken by the plan's order, so that an
//! added edge can never close a circle. Paths are compared pattern by pattern and not task by
//! task: users of one pattern form a chain, and the chains of overlapping patterns are merged.
//! What follows from other edges is not added.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use cxo_protocol::{AddedEdge, Plan};

use super::path::{literal_prefix, may_overlap, plain};

/// Tasks by their place in the order.
type Ranks = BTreeSet<usize>;

/// Edges between places in the order, each with the path that it is for.
type Edges = BTreeMap<(usize, usize), String>;

/// Steps that are spent on finding edges that follow from others, for a whole plan. What is not
/// found by then is added without need, which costs a line on a screen.
const SEARCH_STEPS: usize = 1_000_000;

pub(super) fn added_edges(plan: &Plan, order: &[usize]) -> Vec<AddedEdge> {
    let mut users: BTreeMap<String, Ranks> = BTreeMap::new();
    for (rank, &task) in order.iter().enumerate() {
        for file in &plan.tasks[task].files {
            users.entry(plain(file)).or_default().insert(rank);
        }
    }
    let mut edges = Edges::new();
    for (pattern, ranks) in &users {
        for (before, after) in ranks.iter().zip(ranks.iter().skip(1)) {
            edges.entry((*before, *after)).or_insert_with(|| pattern.clone());
        }
    }
    for (a, b) in overlapping(&users) {
        merge_chains((a, &users[a]), (b, &users[b]), &mut edges);
    }
    let needs = written(plan, order);
    let mut added: Vec<((usize, usize), String)> = follows_from_no_other(edges, &needs);
    added.sort_by_key(|((before, after), _)| (order[*after], order[*before]));
    let id = |rank: usize| plan.tasks[order[rank]].id.clone();
    added
        .into_iter()
        .map(|((before, after), path)| AddedEdge { before: id(before), after: id(after), path })
        .collect()
}

/// What the plan itself orders: for each place, the places that it needs.
fn written(plan: &Plan, order: &[usize]) -> Vec<Ranks> {
    let ranks: BTreeMap<&cxo_protocol::TaskId, usize> =
        order.iter().enumerate().map(|(rank, &task)| (&plan.tasks[task].id, rank)).collect();
    order
        .iter()
        .map(|&task| {
            let needed = plan.tasks[task].depends_on.iter();
            needed.filter_map(|id| ranks.get(id).copied()).collect()
        })
        .collect()
}

/// Brings the users of two overlapping patterns into one order. Each pattern's users are a chain
/// already, so that only where the order changes from one chain to the other is an edge missing.
fn merge_chains(a: (&String, &Ranks), b: (&String, &Ranks), edges: &mut Edges) {
    let (few, many) = if a.1.len() <= b.1.len() { (a, b) } else { (b, a) };
    let mut last: Option<usize> = None;
    for &rank in few.1 {
        if many.1.contains(&rank) {
            last = Some(rank);
            continue;
        }
        if let Some(&before) = many.1.range(..rank).next_back()
            && last.is_none_or(|last| last < before)
        {
            edges.entry((before, rank)).or_insert_with(|| few.0.clone());
        }
        if let Some(&after) = many.1.range(rank..).next() {
            let next = few.1.range((Excluded(rank), Unbounded)).next();
            if next.is_none_or(|next| after < *next) {
                edges.entry((rank, after)).or_insert_with(|| many.0.clone());
            }
        }
        last = Some(rank);
    }
}

/// Drops what is written, and what a longer way of written and added edges says already. In a
/// graph without circles all such edges can be dropped at once and the order stays the same.
fn follows_from_no_other(edges: Edges, needs: &[Ranks]) -> Vec<((usize, usize), String)> {
    let mut all = needs.to_vec();
    for &(before, after) in edges.keys() {
        all[after].insert(before);
    }
    let mut steps = SEARCH_STEPS;
    edges
        .into_iter()
        .filter(|((before, after), _)| {
            !needs[*after].contains(before) && !has_longer_way(&all, *before, *after, &mut steps)
        })
        .collect()
}

/// Whether `after` needs `before` by way of a third. Everything on such a way lies between them.
fn has_longer_way(all: &[Ranks], before: usize, after: usize, steps: &mut usize) -> bool {
    let above = |rank: usize| all[rank].range((Excluded(before), Unbounded)).copied();
    let mut seen = Ranks::new();
    let mut next: Vec<usize> = above(after).collect();
    while let Some(rank) = next.pop() {
        if *steps == 0 {
            return false;
        }
        *steps -= 1;
        if all[rank].contains(&before) {
            return true;
        }
        if seen.insert(rank) {
            next.extend(above(rank));
        }
    }
    false
}

/// Pairs of different patterns that may name the same file, each pair at least once.
///
/// Patterns overlap only if what they say before their first wildcard is the same path or one
/// above the other, so that each is compared with what lies at or below it and no more.
fn overlapping(users: &BTreeMap<String, Ranks>) -> Vec<(&String, &String)> {
    let mut by_prefix: BTreeMap<&str, Vec<&String>> = BTreeMap::new();
    for pattern in users.keys() {
        by_prefix.entry(literal_prefix(pattern)).or_default().push(pattern);
    }
    let mut pairs = Vec::new();
    for (&prefix, patterns) in &by_prefix {
        for (i, &a) in patterns.iter().enumerate() {
            for &b in &patterns[i + 1..] {
                if may_overlap(a, b) {
                    pairs.push((a, b));
                }
            }
            for b in below(&by_prefix, prefix) {
                if may_overlap(a, b) {
                    pairs.push((a, b));
                }
            }
        }
    }
    pairs
}

/// The patterns whose prefix lies below a path.
fn below<'a>(by_prefix: &BTreeMap<&'a str, Vec<&'a String>>, path: &str) -> Vec<&'a String> {
    // What lies below the root is everything but the root itself. `src-gen` sorts between `src`
    // and what lies below it, hence the slash.
    let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
    by_prefix
        .range::<str, _>((Excluded(inside.as_str()), Unbounded))
        .take_while(|(prefix, _)| prefix.starts_with(&inside))
        .flat_map(|(_, patterns)| patterns.iter().copied())
        .collect()
}
