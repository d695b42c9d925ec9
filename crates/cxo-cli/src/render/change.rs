//! One line per change of a run, as it happens: `MERGED [ 3:05] t3 error-types …`.

use cxo_protocol::view::{RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::{
    Event, Feedback, LandingEnd, Line, Published, RunEnd, TaskFailure, Topic, Unchanged,
};

use super::{Look, Tint};
use crate::text::{at, cell, clock, columns, counted, fit, plain, tokens};

/// Which changes get a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Seen in the live lines anyway; written where there are none.
    Step,
    /// Worth to stand above them.
    Result,
}

/// Columns of the state's word.
const WORD: usize = 10;

/// The line for an event, and how much it weighs. Events without news for a person have none.
pub(crate) fn line(line: &Line, run: &RunView, look: &Look) -> Option<(Weight, String)> {
    let said = said(line, run, look)?;
    let time = format!("[{:>5}]", clock(line.ts.millis_since(run.started_at)));
    let word = look.paint(said.tint, &format!("{:>WORD$}", said.word.to_uppercase()));
    let task = line.event.task().and_then(|id| run.tasks.iter().find(|task| task.id == *id));
    let who = match (task, line.event.task()) {
        (Some(task), _) => {
            let title = cell(&plain(&task.title), 16);
            format!("{} {title} {}", task.id, cell(&plain(&task.agent), 8))
        }
        (None, Some(id)) => id.to_string(),
        (None, None) => String::new(),
    };
    let gap = if who.is_empty() { "" } else { "  " };
    let used = WORD + 1 + columns(&time) + 1 + columns(&who) + gap.len();
    let detail = fit(&plain(&said.detail), look.width.saturating_sub(used).max(16));
    Some((said.weight, format!("{word} {time} {who}{gap}{detail}").trim_end().to_owned()))
}

struct Said {
    weight: Weight,
    word: String,
    tint: Tint,
    detail: String,
}

fn step(word: &str, detail: impl Into<String>) -> Said {
    Said { weight: Weight::Step, word: word.to_owned(), tint: Tint::Busy, detail: detail.into() }
}

fn state(word: TaskWord, detail: impl Into<String>) -> Said {
    Said {
        weight: Weight::Result,
        word: word.label().to_owned(),
        tint: super::tint_of(word),
        detail: detail.into(),
    }
}

fn warn(word: &str, detail: impl Into<String>) -> Said {
    Said { weight: Weight::Result, word: word.to_owned(), tint: Tint::Warn, detail: detail.into() }
}

fn said(line: &Line, run: &RunView, look: &Look) -> Option<Said> {
    let task = line.event.task().and_then(|id| run.tasks.iter().find(|task| task.id == *id));
    let until = |instant| format!("limit until {}", at(instant, line.ts, look.zone));
    Some(match &line.event {
        Event::BaseChecked { receipts } => {
            let passed = receipts.iter().filter(|receipt| receipt.passed()).count();
            step("base", format!("checks {passed}/{}", receipts.len()))
        }
        Event::PlanRequested { attempt: 1, .. } => step("planning", ""),
        Event::PlanRequested { attempt, errors, .. } => step(
            "planning",
            format!("asked again (try {attempt}): {}", counted(errors.len(), "error")),
        ),
        Event::PlanRefused { errors, .. } => {
            warn("refused", format!("the plan: {}", errors.join("; ")))
        }
        Event::PlanProposed { plan, .. } => step("planned", counted(plan.tasks.len(), "task")),
        Event::PlanParked { until: instant, .. } | Event::TaskParked { until: instant, .. } => {
            state(TaskWord::Waiting, until(*instant))
        }
        Event::RunResumed {} => step("resumed", ""),
        Event::RunCancelled {} => state(TaskWord::Cancelled, "stopping what is going on"),
        Event::RunFinishing { .. } => step("merging", "the result is being written"),
        Event::ResultPublished { published } => return result(published),
        Event::RunEnded { end, .. } => return ended(*end, run),
        Event::AttemptStarted { role, attempt, .. } => {
            step(TaskWord::Working.label(), format!("{} {attempt}", role.word()))
        }
        Event::TaskQueued { work, .. } => {
            let change = format!("+{} -{}", work.change.added, work.change.removed);
            step(TaskWord::Queued.label(), change)
        }
        Event::TaskRetried { feedback, .. } => warn("retry", retry(feedback, task)),
        Event::QuestionAsked { topic, .. } => state(TaskWord::NeedsYou, asks(topic)),
        Event::LandingConflicted { files, .. } => {
            let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            warn("conflict", names.join(" "))
        }
        Event::LandingEnded { end, .. } => return landing_ended(end),
        Event::TaskMerged { .. } => {
            state(TaskWord::Merged, task.map(|task| proof(run, task)).unwrap_or_default())
        }
        Event::TaskUnchanged { why, .. } => state(TaskWord::NoChange, unchanged(*why)),
        Event::TaskFailed { failure, .. } => state(TaskWord::Failed, failed(failure)),
        Event::TaskBlocked { by, .. } => state(TaskWord::Blocked, format!("needs {by}")),
        Event::TaskCancelled { .. } => state(TaskWord::Cancelled, ""),
        Event::TaskReopened { .. } => step("reopened", ""),
        Event::RunStarted { .. }
        | Event::RunTrusted { .. }
        | Event::BasePrepared { .. }
        | Event::PlanApprovedAhead {}
        | Event::PlanApproved {}
        | Event::ThreadStarted { .. }
        | Event::AttemptEnded { .. }
        | Event::AttemptLeft { .. }
        | Event::PlanLeft { .. }
        | Event::TaskUnparked { .. }
        | Event::QuestionAnswered { .. }
        | Event::LandingStarted { .. }
        | Event::LandingMerged { .. }
        | Event::LandingChecked { .. } => return None,
    })
}

fn result(published: &Published) -> Option<Said> {
    Some(match published {
        Published::Branch { branch, commit } => {
            step("result", format!("{branch} {}", commit.short()))
        }
        Published::KeptInHub { why, .. } => warn("kept", format!("in the hub: {why}")),
        Published::Nothing => return None,
    })
}

fn ended(end: RunEnd, run: &RunView) -> Option<Said> {
    Some(match end {
        RunEnd::Done => step(RunWord::Done.label(), super::counts(run)),
        RunEnd::Failed => state(TaskWord::Failed, super::counts(run)),
        RunEnd::Cancelled => state(TaskWord::Cancelled, super::counts(run)),
        RunEnd::Planned => return None,
    })
}

fn landing_ended(end: &LandingEnd) -> Option<Said> {
    Some(match end {
        LandingEnd::Resolved { kept } => {
            let lines: Vec<String> = kept.iter().map(super::summary::kept).collect();
            step("resolved", lines.join("; "))
        }
        LandingEnd::Conflict { why } => warn("conflict", why.clone()),
        LandingEnd::Red
        | LandingEnd::Held
        | LandingEnd::Empty
        | LandingEnd::Moved
        | LandingEnd::Cancelled
        | LandingEnd::Broken { .. } => return None,
    })
}

fn unchanged(why: Unchanged) -> &'static str {
    match why {
        Unchanged::ByAgent => "the agent changed nothing",
        Unchanged::AlreadyLanded => "what had landed holds it already",
        Unchanged::Skipped => "skipped",
        Unchanged::NothingToLand => "nothing to land",
    }
}

fn proof(run: &RunView, task: &TaskView) -> String {
    let used = match task.used.total_tokens() {
        0 => String::new(),
        count => tokens(count),
    };
    let parts = [super::change(task), super::checks(run, &task.receipts), used];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}

fn retry(feedback: &Feedback, task: Option<&TaskView>) -> String {
    let why = match feedback {
        Feedback::ChecksFailed { command, lines } => match lines.first() {
            Some(line) => format!("{command} failed: {line}"),
            None => format!("{command} failed"),
        },
        Feedback::MarkersLeft { files } => format!("conflict markers in {}", files.join(" ")),
        Feedback::AgentFailed { failure } => agent_failed(failure),
        Feedback::Interrupted => "it was interrupted".to_owned(),
        Feedback::Note { text } => format!("note: {text}"),
    };
    match task {
        Some(task) if task.attempts > 0 => format!("{why} (attempt {})", task.attempts + 1),
        _ => why,
    }
}

fn asks(topic: &Topic) -> String {
    match topic {
        Topic::DroppedLines { kept, .. } => {
            let lines: Vec<String> = kept.iter().map(super::summary::kept).collect();
            format!("take a resolution that drops lines? {}", lines.join("; "))
        }
        Topic::RunsLater { files, .. } => format!("land what runs later? {files}"),
        Topic::SignIn { agent, .. } => format!("{agent} is not signed in"),
    }
}

fn failed(failure: &TaskFailure) -> String {
    match failure {
        TaskFailure::Agent { failure } => agent_failed(failure),
        TaskFailure::Checks { command, lines } => match lines.first() {
            Some(line) => format!("{command} failed: {line}"),
            None => format!("{command} failed"),
        },
        TaskFailure::Markers { files } => format!("conflict markers in {}", files.join(" ")),
        TaskFailure::Conflict { files, why } => format!("conflict in {}: {why}", files.join(" ")),
        TaskFailure::Refused => "a person said no to the work".to_owned(),
        TaskFailure::Broken { message } => message.clone(),
    }
}

fn agent_failed(failure: &cxo_protocol::AgentFailure) -> String {
    use cxo_protocol::AgentFailure as Failure;
    match failure {
        Failure::UsageLimit { message, .. } => format!("usage limit: {message}"),
        Failure::RateLimited { message, .. } => format!("too many requests: {message}"),
        Failure::SignIn { message } => format!("not signed in: {message}"),
        Failure::Model { message } => format!("model: {message}"),
        Failure::Transport { message } => format!("connection: {message}"),
        Failure::Silent { limit_ms } => format!("silent for {}", clock(*limit_ms)),
        Failure::TimedOut { limit_ms } => format!("longer than {}", clock(*limit_ms)),
        Failure::LogLimit { limit_bytes } => format!("more than {limit_bytes} bytes of output"),
        Failure::Exited { code: Some(code), message, .. } => {
            format!("the agent exited with code {code}: {message}")
        }
        Failure::Exited { message, .. } => format!("the agent was ended: {message}"),
        Failure::NotStarted { message } => format!("the agent did not start: {message}"),
        Failure::Lost => "the agent was lost".to_owned(),
    }
}
