//! Short ways to make events, rows and answers for the tests.

use cxo_protocol::rows::{
    AttemptRow, CheckpointRow, LandingRow, NodeRow, QuestionRow, Row, RunRow, TaskRow, UsageRow,
};
use cxo_protocol::{AttemptId, CommitId, LandingId, QuestionId, RunId, TaskId, Timestamp, TreeId};
use cxo_store::{Answer, Batch, NewEvent, Stream};

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) fn run_id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

pub(crate) fn of(run: &str) -> Stream {
    if run.is_empty() { Stream::Repository } else { Stream::Run(run_id(run)) }
}

pub(crate) fn event(run: &str, body: &str) -> NewEvent {
    NewEvent { stream: of(run), ts: NOW, kind: "task_started".into(), body: body.into() }
}

pub(crate) fn events(list: Vec<NewEvent>) -> Batch {
    Batch { events: list, ..Batch::default() }
}

pub(crate) fn rows(list: Vec<Row>) -> Batch {
    Batch { rows: list, ..Batch::default() }
}

pub(crate) fn answer(key: &str, expires_at: u64) -> Answer {
    Answer {
        principal: "local".into(),
        method: "run.start".into(),
        idem_key: key.into(),
        body_hash: "ab".repeat(32),
        answer: format!("{{\"key\":{key:?}}}"),
        expires_at: Timestamp(expires_at),
    }
}

pub(crate) fn run_row(run: &str, created_at: u64, ended_at: Option<u64>) -> RunRow {
    RunRow {
        run: run_id(run),
        title: format!("Title of {run} — Größe \u{1F600}"),
        goal: "line one\nline two".into(),
        state: "Working".into(),
        agent: Some("codex".into()),
        base: Some("main".into()),
        base_commit: Some(CommitId::new(&"1".repeat(40)).unwrap()),
        result_branch: Some(format!("result-{run}")),
        result_commit: None,
        created_at: Timestamp(created_at),
        ended_at: ended_at.map(Timestamp),
        error: None,
    }
}

pub(crate) fn task_row(run: &str, task: &str, position: u64) -> TaskRow {
    TaskRow {
        run: run_id(run),
        task: TaskId::new(task).unwrap(),
        position,
        title: format!("Task {task}"),
        state: "Waiting".into(),
        reason: Some("waits for t0".into()),
        depends_on: "[\"t0\"]".into(),
        agent: None,
        attempts: 2,
        started_at: Some(NOW),
        ended_at: None,
        commit_id: Some(CommitId::new(&"2".repeat(64)).unwrap()),
        tree_id: Some(TreeId::new(&"3".repeat(40)).unwrap()),
        error: None,
    }
}

pub(crate) fn attempt_row(run: &str, task: &str, number: u64) -> AttemptRow {
    AttemptRow {
        attempt: AttemptId::new(&format!("{run}.{task}.a{number}")).unwrap(),
        run: run_id(run),
        task: Some(TaskId::new(task).unwrap()),
        number,
        purpose: "work".into(),
        agent: "codex".into(),
        model: Some("a-model".into()),
        state: "failed".into(),
        thread: Some("0199-thread".into()),
        workspace: Some("/w/1".into()),
        log: Some(format!("jobs/{run}/attempts/{task}.a{number}/stdout.log")),
        started_at: Some(NOW),
        ended_at: Some(NOW.plus_millis(1500)),
        exit_code: Some(-1),
        signal: Some(9),
        commit_id: None,
        tree_id: None,
        summary: Some("did it".into()),
        error: Some("killed".into()),
    }
}

pub(crate) fn usage_row(run: &str, task: &str, number: u64) -> UsageRow {
    UsageRow {
        attempt: AttemptId::new(&format!("{run}.{task}.a{number}")).unwrap(),
        run: run_id(run),
        task: Some(TaskId::new(task).unwrap()),
        agent: "codex".into(),
        model: None,
        input_tokens: 1000,
        cached_input_tokens: 900,
        output_tokens: 50,
        reasoning_tokens: 7,
        counted_at: NOW,
    }
}

pub(crate) fn question_row(run: &str, number: u64) -> QuestionRow {
    QuestionRow {
        question: QuestionId::new(&format!("{run}.t1.q{number}")).unwrap(),
        run: run_id(run),
        task: Some(TaskId::new("t1").unwrap()),
        state: "open".into(),
        text: "Which one?".into(),
        choices: "[\"a\",\"b\"]".into(),
        asked_at: NOW,
        ended_at: None,
        answer: None,
    }
}

pub(crate) fn landing_row(run: &str, number: u64) -> LandingRow {
    LandingRow {
        landing: LandingId::new(&format!("{run}.t1.l{number}")).unwrap(),
        run: run_id(run),
        task: TaskId::new("t1").unwrap(),
        state: "merged".into(),
        source_commit: Some(CommitId::new(&"4".repeat(40)).unwrap()),
        target_commit: Some(CommitId::new(&"5".repeat(40)).unwrap()),
        commit_id: Some(CommitId::new(&"6".repeat(40)).unwrap()),
        tree_id: Some(TreeId::new(&"7".repeat(40)).unwrap()),
        receipt: Some("{\"exit\":0}".into()),
        queued_at: NOW,
        ended_at: Some(NOW.plus_millis(900)),
        error: None,
    }
}

/// What a node waits for that waits for node 1.
const WAITS: &str = "[{\"node_id\":1,\"edge_type\":\"depends_on\",\"mode\":\"on_branch\"}]";

pub(crate) fn node_row(node: u64, waits_for: &str) -> NodeRow {
    NodeRow {
        node,
        level: "case".into(),
        parent: None,
        title: format!("Case {node}"),
        status: "in_progress".into(),
        priority: 3,
        waits_for: waits_for.into(),
        held_by: (node == 1).then(|| "me".to_owned()),
        fence: Some(7),
        held_until: Some(NOW),
        approval: "none".into(),
        merged_commit: Some(CommitId::new(&"8".repeat(40)).unwrap()),
        summary: None,
        facet: Some("backend".into()),
        risk: Some("low".into()),
        token_estimate: Some(9_000),
        affected_files: "[]".into(),
        owner_session: None,
        assignee_session: None,
        created_by: "user".into(),
        created_at: NOW,
        changed_at: NOW,
    }
}

pub(crate) fn checkpoint_row(node: u64, number: u64) -> CheckpointRow {
    CheckpointRow {
        node,
        number,
        session: "me".into(),
        fence: 7,
        reached: "step_checked".into(),
        step: None,
        result: Some("fail".into()),
        summary: None,
        next_action: Some("look again".into()),
        artifacts: "[\"out.log\"]".into(),
        required_files: "[]".into(),
        written_at: NOW,
    }
}

/// One row of every kind; those of runs are all of one run.
pub(crate) fn every_row(run: &str, ended_at: Option<u64>) -> Vec<Row> {
    vec![
        Row::Task(task_row(run, "t1", 0)),
        Row::Run(run_row(run, NOW.0, ended_at)),
        Row::Attempt(attempt_row(run, "t1", 1)),
        Row::Usage(usage_row(run, "t1", 1)),
        Row::Question(question_row(run, 1)),
        Row::Landing(landing_row(run, 1)),
        Row::Node(node_row(1, "[]")),
        Row::Node(node_row(2, "[]")),
        Row::Node(node_row(3, WAITS)),
        Row::Checkpoint(checkpoint_row(1, 1)),
    ]
}
