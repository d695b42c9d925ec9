//! Runs as the tests show them: one of interest in each state.

use cxo_protocol::view::{Awaits, QuestionView, RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::{
    AddedEdge, AttemptId, ChangeStat, CommitId, Kept, Plan, PlanTask, Published, QuestionId,
    Receipt, RunId, TaskId, Timestamp, TreeId, Usage, Verdict,
};

use super::{Colour, Look};
use crate::text::Zone;

/// 12:00 on the second day of 2026.
pub(crate) const START: Timestamp = Timestamp(1_767_355_200_000);

pub(crate) fn after(seconds: u64) -> Timestamp {
    START.plus_millis(seconds * 1000)
}

pub(crate) fn look(colour: Colour) -> Look {
    Look { colour, width: 80, zone: Zone::Utc }
}

pub(crate) fn run_id() -> RunId {
    RunId::new("r7k2").unwrap()
}

pub(crate) fn task_id(id: &str) -> TaskId {
    TaskId::new(id).unwrap()
}

pub(crate) fn commit(digit: char) -> CommitId {
    CommitId::new(&digit.to_string().repeat(40)).unwrap()
}

pub(crate) fn used(tokens: u64) -> Usage {
    Usage { input_tokens: tokens, ..Usage::default() }
}

pub(crate) fn receipt(command: &str, verdict: Verdict) -> Receipt {
    let failing = ["tests/limit.rs:41: expected 429, was 200".to_owned()];
    Receipt {
        tree: TreeId::new(&"d".repeat(40)).unwrap(),
        command: command.to_owned(),
        failing_lines: if verdict == Verdict::Passed { Vec::new() } else { failing.to_vec() },
        verdict,
        took_for_ms: 12_340,
        log: None,
    }
}

pub(crate) fn task(id: &str, title: &str, needs: &[&str]) -> TaskView {
    let planned = PlanTask {
        depends_on: needs.iter().map(|need| task_id(need)).collect(),
        files: vec![format!("src/{title}/**")],
        estimate_minutes: Some(6),
        ..PlanTask::new(task_id(id), title)
    };
    TaskView::planned(&planned, "codex", after(60))
}

/// A run whose plan waits for a yes.
pub(crate) fn planned() -> RunView {
    RunView {
        id: run_id(),
        goal: "Add rate limiting to the API, with docs and tests".to_owned(),
        state: RunWord::NeedsManualReview,
        detail: None,
        awaits: Some(Awaits::Plan),
        started_at: START,
        ended_at: None,
        jobs: 4,
        base: "main".to_owned(),
        base_commit: Some(commit('b')),
        base_receipts: Vec::new(),
        target: None,
        checks: vec!["cargo test".to_owned(), "npm test".to_owned()],
        summary: Some("A token bucket per client, and the answers that tell of it.".to_owned()),
        added_edges: vec![AddedEdge {
            before: task_id("t4"),
            after: task_id("t6"),
            path: "src/http/**".to_owned(),
        }],
        used: used(12_400),
        result: None,
        failure: None,
        failing_lines: Vec::new(),
        tasks: vec![
            task("t1", "limiter-core", &[]),
            task("t3", "error-types", &[]),
            task("t4", "middleware", &["t1", "t3"]),
            task("t6", "headers", &["t4"]),
            task("t7", "docs", &["t1"]),
        ],
    }
}

/// The same run at work: one of each kind.
pub(crate) fn running() -> RunView {
    let mut run = planned();
    (run.state, run.awaits) = (RunWord::Running, None);
    run.used = used(412_000);
    let merged = &mut run.tasks[1];
    (merged.state, merged.attempts, merged.used) = (TaskWord::Merged, 1, used(12_000));
    merged.change = Some(ChangeStat { files: 2, added: 41, removed: 6 });
    merged.receipts =
        vec![receipt("cargo test", Verdict::Passed), receipt("npm test", Verdict::Passed)];
    run.tasks[0].state = TaskWord::Checking;
    let working = &mut run.tasks[2];
    (working.state, working.attempts) = (TaskWord::Working, 1);
    run.tasks[3].detail = Some("waits for t4".to_owned());
    let asking = &mut run.tasks[4];
    asking.state = TaskWord::NeedsYou;
    asking.question = Some(QuestionView {
        id: QuestionId::of(&run_id(), &task_id("t7"), 1),
        text: "Take a resolution that drops 1 of 9 lines of docs/api.md?".to_owned(),
        work: Some(commit('e')),
        asked_at: after(120),
    });
    run.awaits = Some(Awaits::Answers { tasks: vec![task_id("t7")] });
    run
}

/// The same run at its end: merged, one by a resolver, one failed, one blocked.
pub(crate) fn failed() -> RunView {
    let mut run = running();
    (run.state, run.awaits, run.ended_at) = (RunWord::Failed, None, Some(after(574)));
    run.result = Some(Published::Branch { branch: "result-r7k2".to_owned(), commit: commit('c') });
    for at in [0, 2] {
        let since = after(300 + at as u64);
        let task = &mut run.tasks[at];
        (task.state, task.since) = (TaskWord::Merged, since);
        task.receipts =
            vec![receipt("cargo test", Verdict::Passed), receipt("npm test", Verdict::Passed)];
    }
    run.tasks[2].kept = vec![Kept {
        path: "src/http/limit.rs".to_owned(),
        landed_kept: 12,
        landed_of: 12,
        task_kept: 9,
        task_of: 9,
    }];
    let failed = &mut run.tasks[4];
    (failed.state, failed.question) = (TaskWord::Failed, None);
    failed.detail = Some("cargo test failed after 2 retries".to_owned());
    failed.failing_lines = vec!["tests/limit.rs:41: expected 429, was 200".to_owned()];
    failed.work = Some(commit('e'));
    failed.attempt = Some(AttemptId::of(&run_id(), &task_id("t7"), 'a', 3));
    failed.thread = Some("0198a7f2-thread".to_owned());
    let blocked = &mut run.tasks[3];
    (blocked.state, blocked.detail) = (TaskWord::Blocked, Some("needs t7".to_owned()));
    run
}

/// The same run, all well and without checks.
pub(crate) fn done_unchecked() -> RunView {
    let mut run = failed();
    run.state = RunWord::Done;
    run.checks.clear();
    for task in &mut run.tasks {
        task.state = TaskWord::Merged;
        task.receipts.clear();
        task.detail = None;
    }
    run.tasks[1].state = TaskWord::NoChange;
    run
}

/// The plan of [`planned`] as the planner wrote it.
pub(crate) fn plan() -> Plan {
    let tasks = planned().tasks.into_iter().map(|task| PlanTask {
        description: "As the goal says.".to_owned(),
        files: task.files,
        depends_on: task.needs,
        estimate_minutes: task.estimate_minutes,
        ..PlanTask::new(task.id, task.title)
    });
    Plan { summary: "A token bucket per client.".to_owned(), tasks: tasks.collect() }
}
