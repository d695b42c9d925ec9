//! Runs and tasks as they are now, for `cxo status` and `cxo task`.

use std::fmt::Write as _;

use cxo_protocol::Timestamp;
use cxo_protocol::view::{RunView, TaskView, TaskWord};

use super::{Look, Tint};
use crate::text::{at, cell, clock, columns, fit, plain, tokens};

/// The most tasks of one run that are listed; `--format json` has them all.
const MAX_TASKS: usize = 1_000;

/// Many runs, one line each and what each expects.
pub(crate) fn list(runs: &[RunView], look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    for run in runs {
        head(run, look, now, &mut text);
        expected(run, look, &mut text);
    }
    text
}

fn head(run: &RunView, look: &Look, now: Timestamp, text: &mut String) {
    let (symbol, tint) = super::sign_of(run.state);
    let state = cell(&format!("{symbol} {}", run.state.label()), 11);
    let started = at(run.started_at, now, look.zone);
    let counts = if run.tasks.is_empty() { String::new() } else { super::brief_counts(run) };
    let lasted = clock(super::lasted_ms(run, now));
    let front = format!("{}  {}  ", run.id, state);
    let back = format!("  {started} [{lasted}]");
    let free = look.width.saturating_sub(columns(&front) + columns(&back)).max(12);
    let middle = match (counts.is_empty(), &run.detail) {
        (false, _) => format!(
            "{}  {counts}",
            fit(&goal(run), free.saturating_sub(columns(&counts) + 2).max(8))
        ),
        (true, Some(detail)) => format!("{}  {}", goal(run), plain(detail)),
        (true, None) => goal(run),
    };
    let _ = writeln!(
        text,
        "{}  {}  {}{}",
        look.paint(Tint::Strong, run.id.as_str()),
        look.paint(tint, &state),
        cell(&middle, free),
        look.paint(Tint::Faint, &back)
    );
}

/// What the run is to do, in one line.
pub(crate) fn goal(run: &RunView) -> String {
    let said = if run.goal.trim().is_empty() { run.summary.as_deref() } else { Some(&*run.goal) };
    plain(said.unwrap_or("(a plan)"))
}

fn expected(run: &RunView, look: &Look, text: &mut String) {
    for (what, command) in super::expected(run) {
        // Whole: what somebody says yes to must not hide behind the edge of a screen.
        let _ = writeln!(text, "  {} {what}", look.paint(Tint::Warn, "?"));
        let _ = writeln!(text, "    {command}");
    }
}

/// One run with its tasks.
pub(crate) fn one(run: &RunView, look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    head(run, look, now, &mut text);
    if let Some(failure) = &run.failure {
        let _ = writeln!(text, "  why  {}", fit(&plain(failure), look.width - 7));
    }
    text.push_str(&tasks(run, look, now));
    expected(run, look, &mut text);
    text
}

/// The tasks of a run.
pub(crate) fn tasks(run: &RunView, look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    let shown = &run.tasks[..run.tasks.len().min(MAX_TASKS)];
    let id = shown.iter().map(|task| columns(task.id.as_str())).max().unwrap_or(2).clamp(2, 16);
    let title = shown.iter().map(|task| columns(&plain(&task.title))).max().unwrap_or(4);
    let title = title.clamp(4, (look.width / 3).max(8));
    let agent = shown.iter().map(|task| columns(&plain(&task.agent))).max().unwrap_or(5).min(10);
    for task in shown {
        let word = super::word_of(run, task);
        let state = cell(&format!("{} {word}", task.state.symbol()), 12);
        let front = format!(
            "{}  {}  {}  ",
            cell(task.id.as_str(), id),
            cell(&plain(&task.title), title),
            cell(&plain(&task.agent), agent)
        );
        let free = look.width.saturating_sub(4 + columns(&state) + columns(&front)).max(10);
        let _ = writeln!(
            text,
            "  {}  {}",
            look.paint(super::tint_of(task.state), &state),
            format!("{front}{}", fit(&now_of(run, task, look, now), free)).trim_end()
        );
        // What did not land runs nowhere.
        if task.state == TaskWord::Merged && !task.runs_later.is_empty() {
            let _ = writeln!(text, "      runs later: {}", plain(&task.runs_later.to_string()));
        }
    }
    if run.tasks.len() > shown.len() {
        let _ = writeln!(text, "  … and {} more", run.tasks.len() - shown.len());
    }
    text
}

/// What there is to say of a task in its state.
pub(crate) fn now_of(run: &RunView, task: &TaskView, look: &Look, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if task.state == TaskWord::Working {
        parts.push(clock(now.millis_since(task.since)));
    }
    if let Some(until) = task.until {
        parts.push(format!("until {}", at(until, now, look.zone)));
    }
    let said = task.activity.as_ref().or(task.detail.as_ref());
    let asks = task.question.as_ref().map(|question| format!("asks: {}", question.text));
    parts.extend(asks.as_ref().or(said).map(|said| plain(said)));
    if task.state.is_terminal() {
        parts.push(super::change(task));
        if !task.receipts.is_empty() {
            parts.push(super::checks(run, &task.receipts));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// All that is known of one task.
pub(crate) fn task(run: &RunView, task: &TaskView, look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    let word = super::word_of(run, task);
    let state = look.paint(super::tint_of(task.state), &format!("{} {word}", task.state.symbol()));
    let name = look.paint(Tint::Strong, &format!("{}/{}", run.id, task.id));
    let _ = writeln!(text, "{name}  {state}  {}", plain(&task.title));
    let mut field = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {} {value}", look.paint(Tint::Faint, &format!("{name:<9}")));
        }
    };
    field("detail", task.detail.as_deref().map(plain).unwrap_or_default());
    field("until", task.until.map(|until| at(until, now, look.zone)).unwrap_or_default());
    field("agent", plain(&task.agent));
    let needs: Vec<&str> = task.needs.iter().map(cxo_protocol::TaskId::as_str).collect();
    field("needs", needs.join(" "));
    field("touches", task.files.iter().map(|file| plain(file)).collect::<Vec<_>>().join(" "));
    field("attempts", nonzero(task.attempts.into(), |count| count.to_string()));
    field("thread", task.thread.as_deref().map(plain).unwrap_or_default());
    field("used", nonzero(task.used.total_tokens(), tokens));
    field("change", super::change(task));
    field("work", task.work.as_ref().map(|work| work.short().to_owned()).unwrap_or_default());
    field("commit", task.commit.as_ref().map(|it| it.short().to_owned()).unwrap_or_default());
    for receipt in &task.receipts {
        field("check", super::reports::receipt(receipt));
    }
    for file in &task.kept {
        field("conflict", super::summary::kept(file));
    }
    if !task.runs_later.is_empty() {
        field("later", plain(&task.runs_later.to_string()));
    }
    for line in &task.failing_lines {
        field("failing", fit(&plain(line), look.width.saturating_sub(12)));
    }
    if let Some(question) = &task.question {
        field("asks", plain(&question.text));
        field("next", super::yes(run, task));
    }
    if task.state == cxo_protocol::view::TaskWord::Failed {
        for command in super::remedies(run, task) {
            field("next", command);
        }
    }
    text
}

/// A count where there is something to count.
fn nonzero(count: u64, say: fn(u64) -> String) -> String {
    if count == 0 { String::new() } else { say(count) }
}
