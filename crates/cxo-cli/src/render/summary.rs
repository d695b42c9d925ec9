//! The end of a run: what became of each task, where the result is, what proved it, what was
//! kept of what failed, and what to type next.

use std::fmt::Write as _;

use cxo_protocol::view::{RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::{Kept, Published, Timestamp};

use super::{Look, Tint};
use crate::text::{clock, counted, fit, plain, shell_word, tokens};

/// The most lines of a failing check that are shown; the log has them all.
const MAX_FAILING_LINES: usize = 12;

/// The summary.
pub(crate) fn summary(run: &RunView, look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    let (symbol, tint) = super::sign_of(run.state);
    let head = look.paint(tint, &format!("{symbol} {}", run.state.label()));
    let _ = writeln!(
        text,
        "{head}  {}  {}  [{}]",
        look.paint(Tint::Strong, run.id.as_str()),
        super::counts(run),
        clock(super::lasted_ms(run, now))
    );
    if let Some(failure) = &run.failure {
        field(&mut text, look, "why", &plain(failure));
    }
    failing(&mut text, look, &run.failing_lines);
    result(run, look, &mut text);
    if run.used.total_tokens() > 0 {
        let mut used = tokens(run.used.total_tokens());
        if run.used.cached_input_tokens > 0 {
            let _ = write!(used, " ({} cached)", tokens(run.used.cached_input_tokens));
        }
        field(&mut text, look, "tokens", &used);
    }
    for task in &run.tasks {
        of_task(run, task, look, &mut text);
    }
    let next = next(run);
    if !next.is_empty() {
        let _ = writeln!(text, "\n{}", look.paint(Tint::Strong, "next"));
        for command in next {
            let _ = writeln!(text, "  {command}");
        }
    }
    text
}

fn field(text: &mut String, look: &Look, name: &str, value: &str) {
    let _ = writeln!(text, "  {} {value}", look.paint(Tint::Faint, &format!("{name:<8}")));
}

fn result(run: &RunView, look: &Look, text: &mut String) {
    match &run.result {
        Some(Published::Branch { branch, commit }) => {
            field(text, look, "result", &format!("{}  {}", plain(branch), commit.short()));
        }
        Some(Published::KeptInHub { branch, hub_ref, commit, why }) => {
            let said = format!("{} in the hub, {} was left alone", commit.short(), plain(branch));
            field(text, look, "result", &said);
            field(text, look, "why", &plain(why));
            field(text, look, "kept", &plain(hub_ref));
        }
        Some(Published::Nothing) => field(text, look, "result", "none: nothing landed"),
        None => {}
    }
    if !run.tasks.iter().any(|task| task.state == TaskWord::Merged) {
        return;
    }
    if run.checks.is_empty() {
        let said = "none configured: what landed is unchecked";
        field(text, look, "checks", said);
        return;
    }
    let lines = run.checks.iter().map(|check| plain(check)).collect::<Vec<_>>().join(" · ");
    // Every landing was checked on the exact tree that it made, so the last one proves the result.
    let landed = run.tasks.iter().filter(|task| task.state == TaskWord::Merged);
    let last = landed.max_by_key(|task| task.since);
    let said = match last.map(|task| super::checks(run, &task.receipts)) {
        Some(proof) if !proof.is_empty() => {
            let proof = proof.trim_start_matches("checks ").to_owned();
            format!("{proof} passed on the merged tree: {lines}")
        }
        _ => lines,
    };
    field(text, look, "checks", &said);
}

fn failing(text: &mut String, look: &Look, lines: &[String]) {
    for line in lines.iter().take(MAX_FAILING_LINES) {
        let _ = writeln!(text, "    {}", fit(&plain(line), look.width.saturating_sub(4)));
    }
    if lines.len() > MAX_FAILING_LINES {
        let more = counted(lines.len() - MAX_FAILING_LINES, "more line");
        let _ = writeln!(text, "    … {more}");
    }
}

/// One task; those that were merged without an incident are counted only.
fn of_task(run: &RunView, task: &TaskView, look: &Look, text: &mut String) {
    let is_plain =
        task.state == TaskWord::Merged && task.kept.is_empty() && task.runs_later.is_empty();
    if is_plain {
        return;
    }
    let word = super::word_of(run, task);
    let head = look.paint(super::tint_of(task.state), &format!("{} {word}", task.state.symbol()));
    let mut line = format!("{head}  {}  {}", task.id, plain(&task.title));
    if let Some(detail) = &task.detail {
        line.push_str(": ");
        line.push_str(&plain(detail));
    }
    let _ = writeln!(text, "\n{line}");
    if task.state != TaskWord::Merged {
        failing(text, look, &task.failing_lines);
    }
    for file in &task.kept {
        field(text, look, "conflict", &kept(file));
    }
    if task.state == TaskWord::Merged && !task.runs_later.is_empty() {
        field(text, look, "later", &plain(&task.runs_later.to_string()));
    }
    if task.state == TaskWord::Failed {
        if let Some(work) = &task.work {
            field(text, look, "kept", &format!("work {} (pinned: cxo recover list)", work.short()));
        }
        if let Some(thread) = &task.thread {
            field(text, look, "kept", &format!("thread {}", plain(thread)));
        }
        for command in super::remedies(run, task) {
            field(text, look, "next", &command);
        }
    }
}

/// `src/a.rs: kept 12 of 12 lines that had landed, 8 of 9 of the task`.
pub(crate) fn kept(file: &Kept) -> String {
    format!(
        "{}: kept {} of {} lines that had landed, {} of {} of the task",
        plain(&file.path),
        file.landed_kept,
        file.landed_of,
        file.task_kept,
        file.task_of
    )
}

/// Commands that go on from here, to be pasted.
fn next(run: &RunView) -> Vec<String> {
    let mut next: Vec<String> =
        super::expected(run).into_iter().map(|(_, command)| command).collect();
    if let Some(Published::Branch { branch, .. }) = &run.result {
        let branch = shell_word(branch);
        if let Some(base) = &run.base_commit {
            next.push(format!("git log --oneline {}..{branch}", base.short()));
            next.push(format!("git diff {}...{branch}", base.short()));
        }
        next.push(format!("git merge {branch}"));
    }
    if run.tasks.iter().any(|task| task.state == TaskWord::Merged) {
        next.push(format!("cxo diff {}", run.id));
        if !run.checks.is_empty() {
            next.push(format!("cxo receipts {}", run.id));
        }
    }
    match run.state {
        RunWord::Failed if run.tasks.iter().all(|task| task.state != TaskWord::Failed) => {
            next.push(format!("cxo logs {}", run.id));
        }
        RunWord::Planned => next.push(format!("cxo resume {} --yes", run.id)),
        RunWord::Cancelled => next.push(format!("cxo resume {}", run.id)),
        RunWord::Failed
        | RunWord::Planning
        | RunWord::NeedsManualReview
        | RunWord::Running
        | RunWord::Merging
        | RunWord::Done => {}
    }
    next
}
