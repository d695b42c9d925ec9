//! Random jobs: options and plans, good ones and bad ones.

use std::sync::Arc;

use cxo_protocol::{
    CheckCommand, Plan, PlanApproval, PlanTask, RedBase, RunOptions, TaskId, TimeLimits,
    WorkspaceKind,
};

use crate::chance::Chance;

const FILES: [&str; 5] = ["src/a.rs", "src/b.rs", "src/c.rs", "docs/d.md", "e.toml"];

pub(crate) fn task(number: u64) -> TaskId {
    TaskId::new(&format!("t{number}")).unwrap()
}

/// A plan of up to eight tasks; some need earlier ones, some touch the same files. The order of
/// the plan is not always an order in which it can be worked off.
pub(crate) fn plan(chance: &mut Chance) -> Plan {
    let count = 1 + chance.below(8);
    let mut tasks: Vec<PlanTask> = (1..=count)
        .map(|number| PlanTask {
            files: FILES.iter().filter(|_| chance.percent(15)).map(|f| (*f).to_owned()).collect(),
            depends_on: (1..number).filter(|_| chance.percent(25)).map(task).collect(),
            ..PlanTask::new(task(number), format!("Task {number}"))
        })
        .collect();
    if chance.percent(50) {
        tasks.reverse();
    }
    Plan { summary: "A plan".to_owned(), tasks }
}

pub(crate) fn bad_answer(chance: &mut Chance) -> serde_json::Value {
    match chance.below(4) {
        0 => serde_json::json!("no plan at all"),
        1 => serde_json::json!({ "summary": "", "tasks": [] }),
        2 => serde_json::json!({ "summary": "", "tasks": [
            { "id": "a", "title": "A", "depends_on": ["b"] },
            { "id": "b", "title": "B", "depends_on": ["a"] },
        ] }),
        _ => serde_json::json!({ "summary": "", "tasks": [
            { "id": "a", "title": "A", "files": ["../x"] },
        ] }),
    }
}

pub(crate) fn options(chance: &mut Chance, with_git: bool) -> Arc<RunOptions> {
    let checks = ["build", "test", "lint"];
    let how_many = chance.index(4);
    Arc::new(RunOptions {
        goal: "Do it".to_owned(),
        base: "HEAD".to_owned(),
        jobs: u32::try_from(chance.below(4)).unwrap(),
        agent: "codex".to_owned(),
        checks: checks[..how_many].iter().map(|c| CheckCommand::Shell((*c).to_owned())).collect(),
        retries: u32::try_from(chance.below(4)).unwrap(),
        red_base: if chance.percent(50) { RedBase::Stop } else { RedBase::GoOn },
        workspace: if with_git { WorkspaceKind::Clone } else { WorkspaceKind::None },
        setup: Vec::new(),
        limits: TimeLimits { attempt_ms: 0, silence_ms: 0, check_ms: 0 },
        unapproved: chance.percent(10).then(|| "5ec2e7".to_owned()),
        plan_approval: match chance.below(10) {
            0 => PlanApproval::PlanOnly,
            1 | 2 => PlanApproval::Ask,
            _ => PlanApproval::Given,
        },
    })
}
