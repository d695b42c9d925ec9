//! Rows for people with a SQL shell, computed from the events of a group and the state that they
//! led to. They go into the store in the same transaction as the events.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most events change no row beside those of their run and their task"
)]

pub(crate) mod graph;

use std::collections::{BTreeMap, BTreeSet};

use cxo_core::limits::words_of;
use cxo_core::{Run, Stamped};
use cxo_protocol::rows::{AttemptRow, LandingRow, QuestionRow, Row, RunRow, TaskRow, UsageRow};
use cxo_protocol::view::{RunView, RunWord, TaskView};
use cxo_protocol::{
    AgentFailure, Answer, AttemptEnd, AttemptId, AttemptRole, Event, LandingEnd, LandingId,
    Published, QuestionId, RunId, TaskId, Timestamp, Usage,
};

use crate::published::Touched;
use crate::topics::question_words;

/// What the events of a group changed in a run: the tasks that they are about, those whose wait
/// changed with them, and the run itself.
pub(crate) fn touched(run: &Run, events: &[Stamped]) -> Touched {
    let mut tasks = BTreeSet::new();
    let mut is_run = false;
    for stamped in events.iter().filter(|stamped| stamped.run == run.id) {
        let event = &stamped.event;
        if matches!(event, Event::PlanProposed { .. }) {
            return Touched::All;
        }
        let Some(task) = event.task() else {
            is_run = true;
            continue;
        };
        let ends = matches!(
            event,
            Event::TaskMerged { .. } | Event::TaskUnchanged { .. } | Event::TaskReopened { .. }
        );
        if ends {
            tasks.extend(run.dependents(task).cloned());
        }
        tasks.insert(task.clone());
    }
    if is_run { Touched::RunAndTasks(tasks) } else { Touched::Tasks(tasks) }
}

/// Makes rows of events. It remembers the rows that are not complete yet, so that a later event
/// completes them; after a restart it is fed the log again.
#[derive(Debug, Default)]
pub(crate) struct Projector {
    attempts: BTreeMap<AttemptId, AttemptRow>,
    landings: BTreeMap<LandingId, LandingRow>,
    questions: BTreeMap<QuestionId, QuestionRow>,
    states: BTreeMap<RunId, RunWord>,
}

impl Projector {
    /// The rows that a group changes in one run.
    pub(crate) fn rows(&mut self, run: &Run, events: &[Stamped], touched: &Touched) -> Vec<Row> {
        let mut rows = Vec::new();
        let state = run.state_word();
        // A row of a run holds its goal, which may be long: it is written when it changes.
        let is_told = self.states.insert(run.id.clone(), state) == Some(state);
        if !is_told || !matches!(touched, Touched::Tasks(_)) {
            rows.push(Row::Run(run_row(&run.view_without_tasks(), run)));
        }
        let all: BTreeSet<TaskId>;
        let ids = match touched {
            Touched::All => {
                all = run.tasks.iter().map(|task| task.spec.id.clone()).collect();
                &all
            }
            Touched::RunAndTasks(ids) | Touched::Tasks(ids) => ids,
        };
        let positions = ids.iter().filter_map(|id| Some((run.position(id)?, run.task_view(id)?)));
        rows.extend(positions.map(|(position, view)| Row::Task(task_row(run, position, &view))));
        for stamped in events.iter().filter(|stamped| stamped.run == run.id) {
            self.event(run, stamped, &mut rows);
        }
        rows
    }

    /// Adds the rows of one event.
    pub(crate) fn event(&mut self, run: &Run, stamped: &Stamped, rows: &mut Vec<Row>) {
        let at = stamped.at;
        match &stamped.event {
            Event::AttemptStarted { task, attempt, role, thread, .. } => {
                let row = started_row(run, (task, attempt, *role), thread.clone(), at);
                self.attempts.insert(attempt.clone(), row.clone());
                rows.push(Row::Attempt(row));
            }
            Event::ThreadStarted { attempt, thread, .. } => {
                if let Some(row) = self.attempts.get_mut(attempt) {
                    row.thread = Some(thread.clone());
                    rows.push(Row::Attempt(row.clone()));
                }
            }
            Event::AttemptEnded { task, attempt, end, usage } => {
                if let Some(mut row) = self.attempts.remove(attempt) {
                    end_row(&mut row, end, at);
                    rows.push(Row::Attempt(row));
                }
                rows.push(Row::Usage(usage_row(run, (task, attempt), usage, at)));
            }
            Event::AttemptLeft { task, attempt, usage } => {
                rows.push(Row::Usage(usage_row(run, (task, attempt), usage, at)));
            }
            Event::QuestionAsked { task, question, topic } => {
                let row = QuestionRow {
                    question: question.clone(),
                    run: run.id.clone(),
                    task: Some(task.clone()),
                    state: "open".to_owned(),
                    text: question_words(topic).to_owned(),
                    choices: r#"["yes","no"]"#.to_owned(),
                    asked_at: at,
                    ended_at: None,
                    answer: None,
                };
                self.questions.insert(question.clone(), row.clone());
                rows.push(Row::Question(row));
            }
            Event::QuestionAnswered { question, answer, .. } => {
                if let Some(mut row) = self.questions.remove(question) {
                    "answered".clone_into(&mut row.state);
                    row.ended_at = Some(at);
                    let word = match answer {
                        Answer::Yes => "yes",
                        Answer::No => "no",
                    };
                    row.answer = Some(word.to_owned());
                    rows.push(Row::Question(row));
                }
            }
            event => {
                let (Some(task), Some(landing)) = (event.task(), landing_of(event)) else { return };
                let row = self
                    .landings
                    .entry(landing.clone())
                    .or_insert_with(|| queued_row(run, (task, landing), at));
                advance_row(row, event, at);
                rows.push(Row::Landing(row.clone()));
                if row.ended_at.is_some() {
                    self.landings.remove(landing);
                }
            }
        }
    }
}

fn landing_of(event: &Event) -> Option<&LandingId> {
    match event {
        Event::LandingStarted { landing, .. }
        | Event::LandingMerged { landing, .. }
        | Event::LandingConflicted { landing, .. }
        | Event::LandingChecked { landing, .. }
        | Event::LandingEnded { landing, .. }
        | Event::TaskMerged { landing, .. } => Some(landing),
        _ => None,
    }
}

fn run_row(view: &RunView, run: &Run) -> RunRow {
    let (result_branch, result_commit) = match &run.published {
        Some(Published::Branch { branch, commit }) => (Some(branch.clone()), Some(commit.clone())),
        Some(Published::KeptInHub { commit, .. }) => (None, Some(commit.clone())),
        Some(Published::Nothing) | None => (None, view.target.clone()),
    };
    RunRow {
        run: view.id.clone(),
        title: view.goal.lines().next().unwrap_or_default().chars().take(200).collect(),
        goal: view.goal.clone(),
        state: view.state.label().to_owned(),
        agent: Some(run.options.agent.clone()),
        base: Some(view.base.clone()),
        base_commit: view.base_commit.clone(),
        result_branch,
        result_commit,
        created_at: view.started_at,
        ended_at: view.ended_at,
        error: view.failure.clone(),
    }
}

fn task_row(run: &Run, position: u64, view: &TaskView) -> TaskRow {
    let ended = view.state.is_terminal();
    TaskRow {
        run: run.id.clone(),
        task: view.id.clone(),
        position,
        title: view.title.clone(),
        state: view.state.label().to_owned(),
        reason: view.detail.clone(),
        depends_on: serde_json::to_string(&view.needs).unwrap_or_default(),
        agent: Some(view.agent.clone()),
        attempts: u64::from(view.attempts),
        started_at: view.started_at,
        ended_at: ended.then_some(view.since),
        commit_id: view.commit.clone(),
        tree_id: view.receipts.first().map(|receipt| receipt.tree.clone()),
        error: (view.state == cxo_protocol::view::TaskWord::Failed)
            .then(|| view.detail.clone())
            .flatten(),
    }
}

fn agent_of(run: &Run, task: &TaskId) -> String {
    let named = run.task(task).and_then(|task| task.spec.agent.clone());
    named.unwrap_or_else(|| run.options.agent.clone())
}

fn number_of(attempt: &AttemptId) -> u64 {
    let last = attempt.as_str().rsplit('.').next().unwrap_or_default();
    last.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or_default()
}

fn log_of(run: &Run, attempt: &AttemptId) -> String {
    format!("jobs/{}/effects/{attempt}/stdout.log", run.id)
}

fn started_row(
    run: &Run,
    (task, attempt, role): (&TaskId, &AttemptId, AttemptRole),
    thread: Option<String>,
    at: Timestamp,
) -> AttemptRow {
    AttemptRow {
        attempt: attempt.clone(),
        run: run.id.clone(),
        task: Some(task.clone()),
        number: number_of(attempt),
        purpose: role.word().to_owned(),
        agent: agent_of(run, task),
        model: None,
        state: "running".to_owned(),
        thread,
        workspace: None,
        log: Some(log_of(run, attempt)),
        started_at: Some(at),
        ended_at: None,
        exit_code: None,
        signal: None,
        commit_id: None,
        tree_id: None,
        summary: None,
        error: None,
    }
}

fn end_row(row: &mut AttemptRow, end: &AttemptEnd, at: Timestamp) {
    row.ended_at = Some(at);
    let (state, work, summary, error) = match end {
        AttemptEnd::Finished { work, message } => ("finished", Some(work), Some(message), None),
        AttemptEnd::Unchanged { message } => ("unchanged", None, Some(message), None),
        AttemptEnd::MarkersLeft { work, files } => {
            let error = format!("conflict markers left in {}", files.join(", "));
            ("markers left", Some(work), None, Some(error))
        }
        AttemptEnd::Failed { failure, work } => {
            if let AgentFailure::Exited { code, signal, .. } = failure {
                row.exit_code = code.map(i64::from);
                row.signal = signal.map(i64::from);
            }
            ("failed", work.as_ref(), None, Some(words_of(failure)))
        }
        AttemptEnd::Cancelled => ("cancelled", None, None, None),
        AttemptEnd::Broken { message } => ("failed", None, None, Some(message.clone())),
    };
    state.clone_into(&mut row.state);
    row.commit_id = work.map(|work| work.commit.clone());
    row.tree_id = work.map(|work| work.tree.clone());
    row.summary = summary.cloned();
    row.error = error;
}

fn usage_row(
    run: &Run,
    (task, attempt): (&TaskId, &AttemptId),
    usage: &Usage,
    at: Timestamp,
) -> UsageRow {
    UsageRow {
        attempt: attempt.clone(),
        run: run.id.clone(),
        task: Some(task.clone()),
        agent: agent_of(run, task),
        model: None,
        input_tokens: usage.input_tokens,
        cached_input_tokens: usage.cached_input_tokens,
        output_tokens: usage.output_tokens,
        reasoning_tokens: usage.reasoning_tokens,
        counted_at: at,
    }
}

fn queued_row(run: &Run, (task, landing): (&TaskId, &LandingId), at: Timestamp) -> LandingRow {
    let work = run.task(task).and_then(|task| task.work.as_ref());
    LandingRow {
        landing: landing.clone(),
        run: run.id.clone(),
        task: task.clone(),
        state: "merging".to_owned(),
        source_commit: work.map(|work| work.commit.clone()),
        target_commit: None,
        commit_id: None,
        tree_id: None,
        receipt: None,
        queued_at: at,
        ended_at: None,
        error: None,
    }
}

fn advance_row(row: &mut LandingRow, event: &Event, at: Timestamp) {
    match event {
        Event::LandingStarted { target, .. } => row.target_commit = Some(target.clone()),
        Event::LandingMerged { commit, tree, .. } => {
            "verifying".clone_into(&mut row.state);
            row.commit_id = Some(commit.clone());
            row.tree_id = Some(tree.clone());
        }
        Event::LandingConflicted { .. } => "conflicted".clone_into(&mut row.state),
        Event::LandingChecked { receipts, .. } => {
            "verified".clone_into(&mut row.state);
            row.receipt = serde_json::to_string(receipts).ok();
        }
        Event::LandingEnded { end, .. } => {
            "ended".clone_into(&mut row.state);
            row.ended_at = Some(at);
            row.error = match end {
                LandingEnd::Red => Some("the checks failed".to_owned()),
                LandingEnd::Resolved { .. } | LandingEnd::Empty | LandingEnd::Cancelled => None,
                LandingEnd::Held => Some("a person is asked first".to_owned()),
                LandingEnd::Conflict { why } => Some(why.clone()),
                LandingEnd::Moved => Some("the target had moved".to_owned()),
                LandingEnd::Broken { message } => Some(message.clone()),
            };
        }
        Event::TaskMerged { commit, .. } => {
            "merged".clone_into(&mut row.state);
            row.commit_id = Some(commit.clone());
            row.ended_at = Some(at);
        }
        _ => {}
    }
}
