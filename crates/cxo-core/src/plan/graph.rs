//! The graph of a plan: an order in which it can be worked off, the circle where there is none,
//! and its shape for people.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{AddedEdge, Plan, TaskId};

/// The tasks, each after what it needs, ties in plan order; or the tasks of a circle.
pub(super) fn order(plan: &Plan) -> Result<Vec<usize>, Vec<TaskId>> {
    let index: BTreeMap<&TaskId, usize> =
        plan.tasks.iter().enumerate().map(|(i, task)| (&task.id, i)).collect();
    let needs: Vec<Vec<usize>> = plan
        .tasks
        .iter()
        .map(|task| task.depends_on.iter().filter_map(|id| index.get(id).copied()).collect())
        .collect();
    let mut unmet: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut dependents = vec![Vec::new(); needs.len()];
    for (task, needed) in needs.iter().enumerate() {
        for &n in needed {
            dependents[n].push(task);
        }
    }
    let mut ready: BTreeSet<usize> =
        unmet.iter().enumerate().filter(|(_, n)| **n == 0).map(|(i, _)| i).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(task) = ready.pop_first() {
        order.push(task);
        for &dependent in &dependents[task] {
            unmet[dependent] -= 1;
            if unmet[dependent] == 0 {
                ready.insert(dependent);
            }
        }
    }
    if order.len() == needs.len() {
        return Ok(order);
    }
    Err(circle(plan, &needs, &unmet))
}

/// Follows what cannot start to something else that cannot start until a task comes up again.
fn circle(plan: &Plan, needs: &[Vec<usize>], unmet: &[usize]) -> Vec<TaskId> {
    let mut path: Vec<usize> = Vec::new();
    let mut seen_at: Vec<Option<usize>> = vec![None; needs.len()];
    let mut at = unmet.iter().position(|n| *n > 0).unwrap_or_default();
    loop {
        if let Some(start) = seen_at[at] {
            let mut names: Vec<TaskId> =
                path[start..].iter().map(|i| plan.tasks[*i].id.clone()).collect();
            names.push(plan.tasks[at].id.clone());
            return names;
        }
        seen_at[at] = Some(path.len());
        path.push(at);
        let Some(next) = needs[at].iter().copied().find(|n| unmet[*n] > 0) else {
            return path.iter().map(|i| plan.tasks[*i].id.clone()).collect();
        };
        at = next;
    }
}

/// The shape of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Dependencies, added ones included.
    pub edges: usize,
    /// Tasks by how long a chain of dependencies they need before them; each in plan order.
    pub waves: Vec<Vec<TaskId>>,
    /// The chain of tasks that takes longest, by the plan's estimates (one minute where none).
    pub critical_path: Vec<TaskId>,
    /// Minutes along that chain.
    pub critical_minutes: u64,
    /// Minutes for all tasks one after the other.
    pub total_minutes: u64,
}

/// Computes the shape of a plan that was accepted.
pub fn shape(plan: &Plan, added_edges: &[AddedEdge]) -> Shape {
    let mut whole = plan.clone();
    let index: BTreeMap<TaskId, usize> =
        plan.tasks.iter().enumerate().map(|(i, task)| (task.id.clone(), i)).collect();
    for edge in added_edges {
        if let Some(&after) = index.get(&edge.after) {
            whole.tasks[after].depends_on.push(edge.before.clone());
        }
    }
    let order = order(&whole).unwrap_or_default();
    let mut wave = vec![0_usize; plan.tasks.len()];
    let mut ends_at = vec![0_u64; plan.tasks.len()];
    let mut longest_before: Vec<Option<usize>> = vec![None; plan.tasks.len()];
    for &task in &order {
        let needed = whole.tasks[task].depends_on.iter().filter_map(|id| index.get(id).copied());
        for n in needed {
            wave[task] = wave[task].max(wave[n] + 1);
            if longest_before[task].is_none_or(|best| ends_at[n] > ends_at[best]) {
                longest_before[task] = Some(n);
            }
        }
        let begins_at = longest_before[task].map_or(0, |n| ends_at[n]);
        ends_at[task] = begins_at + minutes(plan, task);
    }
    let mut waves = vec![Vec::new(); wave.iter().max().map_or(0, |last| last + 1)];
    for (task, wave) in wave.iter().enumerate() {
        waves[*wave].push(plan.tasks[task].id.clone());
    }
    let last = (0..plan.tasks.len()).rev().max_by_key(|task| ends_at[*task]);
    let mut critical: Vec<usize> =
        std::iter::successors(last, |task| longest_before[*task]).collect();
    critical.reverse();
    Shape {
        edges: whole.tasks.iter().map(|task| task.depends_on.len()).sum(),
        waves,
        critical_path: critical.into_iter().map(|i| plan.tasks[i].id.clone()).collect(),
        critical_minutes: last.map_or(0, |task| ends_at[task]),
        total_minutes: (0..plan.tasks.len()).map(|task| minutes(plan, task)).sum(),
    }
}

fn minutes(plan: &Plan, task: usize) -> u64 {
    plan.tasks[task].estimate_minutes.map_or(1, u64::from).max(1)
}
