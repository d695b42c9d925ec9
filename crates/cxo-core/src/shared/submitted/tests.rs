//! Tests of submitted tasks.

use cxo_protocol::shared::{SubmittedEnd, TokenLimits};
use cxo_protocol::{Principal, RunId, SharedEvent, TaskId};

use super::MAX_ENDED_TASKS;
use crate::shared::tests::{START, Stage};
use crate::shared::{SharedCommand, SharedRejected, Submission};

fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

fn run(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

fn submit(stage: &mut Stage, name: &str) -> Result<Vec<SharedEvent>, SharedRejected> {
    let submission = Submission {
        agent_type: "codex".to_owned(),
        by: Principal::User,
        metadata: serde_json::json!({ "issue": 7 }),
    };
    let events = stage.shared.submit(&task(name), &submission, &run(&format!("r-{name}")))?;
    stage.take(&events);
    Ok(events)
}

/// [A6.3] [G26] A task sets its tokens aside as it is submitted; who finds nothing left is refused.
#[test]
fn a_task_sets_its_tokens_aside() {
    let mut stage = Stage::with(&[]);
    let limits = TokenLimits { total: 50, warning: 40, per_agent: 20 };
    stage.ask(&SharedCommand::LimitTokens(limits)).unwrap();
    let mut aside = |name: &str| {
        submit(&mut stage, name)?;
        Ok(stage.shared.tokens.aside_for(&task(name)))
    };
    assert_eq!(["a", "b", "c"].map(&mut aside), [Ok(20), Ok(20), Ok(10)]);
    let refused = SharedRejected::OverBudget { used: 0, reserved: 50, limit: 50 };
    assert_eq!(aside("d"), Err(refused));
    assert_eq!(aside("a"), Err(SharedRejected::TaskExists { task: task("a") }));
    assert_eq!(stage.shared.submitted.open(), 3);
}

#[test]
fn a_task_without_a_limit_sets_nothing_aside() {
    let mut stage = Stage::with(&[]);
    let limits = TokenLimits { total: 0, warning: 0, per_agent: 0 };
    stage.ask(&SharedCommand::LimitTokens(limits)).unwrap();
    assert_eq!(submit(&mut stage, "a").unwrap().len(), 1);
    assert_eq!(stage.shared.submitted.limit_of(&run("r-a"), &stage.shared.tokens), None);
    assert_eq!(stage.shared.after_tokens(&run("r-a"), u64::MAX), None);
}

/// [G25] Of tasks at their end the newest are remembered, the same in every replay; what was set aside
/// for a forgotten one is free, and open ones are never forgotten.
#[test]
fn the_newest_ended_tasks_are_remembered() {
    let mut stage = Stage::with(&[]);
    let limits = TokenLimits { total: 0, warning: 0, per_agent: 10 };
    stage.ask(&SharedCommand::LimitTokens(limits)).unwrap();
    submit(&mut stage, "open").unwrap();
    let mut log = Vec::new();
    for number in 0..MAX_ENDED_TASKS + 2 {
        let (task, run) = (task(&format!("t{number}")), run(&format!("r{number}")));
        let submission = Submission {
            agent_type: "codex".to_owned(),
            by: Principal::User,
            metadata: serde_json::Value::Null,
        };
        let mut events = stage.shared.submit(&task, &submission, &run).unwrap();
        events.push(SharedEvent::TaskEnded { task, run, end: SubmittedEnd::Unchanged });
        for event in &events {
            stage.shared.evolve(event, START);
        }
        log.extend(events);
    }
    stage.take(&[]);
    let remembered = |name: &str| stage.shared.submitted.get(&task(name)).is_some();
    assert_eq!(["open", "t0", "t1", "t2"].map(remembered), [true, false, false, true]);
    assert_eq!(stage.shared.submitted.of_run(&run("r0")), None);
    assert_eq!(stage.shared.submitted.iter().count(), MAX_ENDED_TASKS + 1);
    let aside = 10 * u64::try_from(MAX_ENDED_TASKS + 1).unwrap();
    assert_eq!(stage.shared.tokens.all.reserved, aside);
    let mut replayed = Stage::with(&[]);
    replayed.ask(&SharedCommand::LimitTokens(limits)).unwrap();
    submit(&mut replayed, "open").unwrap();
    for event in &log {
        replayed.shared.evolve(event, START);
    }
    assert_eq!(replayed.shared, stage.shared);
    assert!(submit(&mut stage, "t0").is_ok(), "the name is free again");
}

/// [G26] A task meets its limit once, while it is open.
#[test]
fn a_limit_is_met_once() {
    let mut stage = Stage::with(&[]);
    submit(&mut stage, "a").unwrap();
    assert_eq!(stage.shared.after_tokens(&run("r-a"), 19_999), None);
    assert_eq!(stage.shared.after_tokens(&run("r-b"), 20_000), None, "a run of nobody's");
    let exceeded = stage.shared.after_tokens(&run("r-a"), 20_000).unwrap();
    assert_eq!(
        exceeded,
        SharedEvent::TokensExceeded { task: task("a"), run: run("r-a"), tokens: 20_000 }
    );
    stage.take(&[exceeded]);
    assert_eq!(stage.shared.after_tokens(&run("r-a"), 30_000), None);
}

#[test]
fn a_task_that_is_over_stays_so() {
    let mut stage = Stage::with(&[]);
    submit(&mut stage, "a").unwrap();
    assert_eq!(stage.shared.submitted.open_run(&task("a")), Ok(&run("r-a")));
    assert_eq!(stage.shared.submitted.of_run(&run("r-a")), Some(&task("a")));
    let missing = Err(SharedRejected::NoTask { task: task("b") });
    assert_eq!(stage.shared.submitted.open_run(&task("b")), missing);
    let ended = |end| SharedEvent::TaskEnded { task: task("a"), run: run("r-a"), end };
    let settled = SharedEvent::TokensSettled { task: task("a"), tokens: 7 };
    stage.take(&[settled]);
    stage.take(&[ended(SubmittedEnd::Cancelled)]);
    stage.take(&[ended(SubmittedEnd::Unchanged)]);
    let over = stage.shared.submitted.get(&task("a")).unwrap();
    assert_eq!(over.end, Some(SubmittedEnd::Cancelled));
    assert_eq!(stage.shared.submitted.open(), 0);
    let over = Err(SharedRejected::TaskOver { task: task("a") });
    assert_eq!(stage.shared.submitted.open_run(&task("a")), over);
    assert_eq!(submit(&mut stage, "a"), Err(SharedRejected::TaskExists { task: task("a") }));
}
