//! Taking a plan: everything that is wrong with it, or the plan with the dependencies that follow
//! from the files it touches. Pure; whoever made the plan, the same rules hold.

mod fault;
mod graph;
mod overlap;
mod path;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cxo_protocol::{AddedEdge, Plan, TaskId};

pub use fault::PlanFault;
pub use graph::{Shape, shape};

use crate::limits;

/// Where a plan comes from: people may ask for more than a planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An agent made it.
    Planner,
    /// A person wrote it, or a program on a person's behalf.
    File,
}

/// A plan that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The plan, with parallel groups turned into dependencies.
    pub plan: Arc<Plan>,
    /// Dependencies between tasks that touch the same files and that nobody had ordered.
    pub added_edges: Vec<AddedEdge>,
}

/// Checks a plan and completes it. All faults are found, not just the first.
pub fn accept(plan: &Arc<Plan>, source: Source) -> Result<Accepted, Vec<PlanFault>> {
    let mut faults = Vec::new();
    check_size(plan, source, &mut faults);
    if matches!(faults.last(), Some(PlanFault::TooManyTasks { .. })) {
        // What else is wrong with a plan of that size is nobody's concern.
        return Err(faults);
    }
    check_ids(plan, &mut faults);
    for task in &plan.tasks {
        check_title(task, &mut faults);
        for file in &task.files {
            if let Err(why) = path::check(file) {
                faults.push(PlanFault::Path { task: task.id.clone(), path: shown(file), why });
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let plan = groups_as_dependencies(plan)?;
    let order = graph::order(&plan).map_err(|cycle| vec![PlanFault::Cycle { tasks: cycle }])?;
    let added_edges = overlap::added_edges(&plan, &order);
    Ok(Accepted { plan, added_edges })
}

/// Text from outside, with everything but printable characters escaped, and cut.
fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

fn check_size(plan: &Plan, source: Source, faults: &mut Vec<PlanFault>) {
    let most = match source {
        Source::Planner => limits::PLANNED_TASKS,
        Source::File => limits::TASKS,
    };
    if plan.tasks.is_empty() {
        faults.push(PlanFault::Empty);
    }
    if plan.tasks.len() > most {
        faults.push(PlanFault::TooManyTasks { tasks: plan.tasks.len(), most });
    }
}

fn check_ids(plan: &Plan, faults: &mut Vec<PlanFault>) {
    let mut seen = BTreeSet::new();
    for task in &plan.tasks {
        if !seen.insert(&task.id) {
            faults.push(PlanFault::DuplicateId { task: task.id.clone() });
        }
    }
    for task in &plan.tasks {
        let mut needed = BTreeSet::new();
        for needs in &task.depends_on {
            if needs == &task.id {
                faults.push(PlanFault::Cycle { tasks: vec![task.id.clone(), task.id.clone()] });
            } else if !seen.contains(needs) {
                faults.push(PlanFault::UnknownId { task: task.id.clone(), needs: needs.clone() });
            } else if !needed.insert(needs) {
                faults.push(PlanFault::RepeatedDependency {
                    task: task.id.clone(),
                    needs: needs.clone(),
                });
            }
        }
    }
}

fn check_title(task: &cxo_protocol::PlanTask, faults: &mut Vec<PlanFault>) {
    let why = if task.title.trim().is_empty() {
        "it is empty"
    } else if task.title.len() > limits::TITLE_BYTES {
        "it is too long for a line"
    } else if task.title.chars().any(path::is_unprintable) {
        "it has control characters"
    } else {
        return;
    };
    faults.push(PlanFault::Title { task: task.id.clone(), title: shown(&task.title), why });
}

/// A task of a group needs every task of the group before it.
fn groups_as_dependencies(plan: &Arc<Plan>) -> Result<Arc<Plan>, Vec<PlanFault>> {
    if plan.tasks.iter().all(|task| task.parallel_group.is_none()) {
        return Ok(plan.clone());
    }
    let mut groups: BTreeMap<u32, Vec<TaskId>> = BTreeMap::new();
    for task in &plan.tasks {
        groups.entry(task.parallel_group.unwrap_or_default()).or_default().push(task.id.clone());
    }
    let edges: usize =
        groups.values().zip(groups.values().skip(1)).map(|(a, b)| a.len() * b.len()).sum();
    if edges > limits::GROUP_EDGES {
        return Err(vec![PlanFault::TooManyEdges { edges, most: limits::GROUP_EDGES }]);
    }
    let mut plan = plan.as_ref().clone();
    for task in &mut plan.tasks {
        let group = task.parallel_group.take().unwrap_or_default();
        if let Some((_, before)) = groups.range(..group).next_back() {
            let written: BTreeSet<TaskId> = task.depends_on.iter().cloned().collect();
            task.depends_on.extend(before.iter().filter(|id| !written.contains(*id)).cloned());
        }
    }
    Ok(Arc::new(plan))
}
