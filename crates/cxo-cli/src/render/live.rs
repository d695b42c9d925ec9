//! The lines that follow a run on a terminal: at most eight tasks and a counter, under a rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cxo_protocol::view::{RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::wire::Activity;
use cxo_protocol::{CommitId, TaskId, Timestamp};

use super::{Look, Tint};
use crate::text::{at, cell, clock, columns, fit, plain, tokens};

/// The most tasks under the rule.
const MAX_TASKS: usize = 8;

/// Columns of the progress bar.
const BAR: usize = 22;

/// The narrowest terminal that gets the lines.
pub(crate) const MIN_WIDTH: usize = 60;

/// What the person is asked at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Nothing.
    Nothing,
    /// Whether the repository's commands may run.
    Trust,
    /// Whether the plan may start.
    Plan,
    /// A task's question, and the work that it is about.
    Answer(TaskId, Option<CommitId>),
    /// Nothing; the keys are explained.
    Help,
}

/// What agents do, by task; the planner's under `None`.
pub(crate) type Activities = BTreeMap<Option<TaskId>, Activity>;

/// What is drawn.
pub(crate) struct Scene<'a> {
    /// The run.
    pub(crate) run: &'a RunView,
    /// What its agents do.
    pub(crate) activities: &'a Activities,
    /// What the person is asked.
    pub(crate) asking: &'a Asking,
    /// Now.
    pub(crate) now: Timestamp,
}

/// The lines. Each fits the width.
pub(crate) fn frame(scene: &Scene<'_>, look: &Look) -> Vec<String> {
    match scene.asking {
        Asking::Trust => return vec![prompt("Run these commands?", "[y]es  [n]o", look)],
        Asking::Plan => {
            let question = format!("Start with {} agents?", scene.run.jobs);
            return vec![prompt(&question, "[Y]es  [e]dit plan  [g]raph  [n]o", look)];
        }
        Asking::Nothing | Asking::Answer(..) | Asking::Help => {}
    }
    if look.width < MIN_WIDTH || scene.run.state.is_ended() {
        return Vec::new();
    }
    if scene.run.tasks.is_empty() || scene.run.state == RunWord::Planning {
        return vec![planning(scene, look)];
    }
    let mut lines = vec![look.paint(Tint::Faint, &"─".repeat(look.width)), counter(scene, look)];
    let shown = shown(scene.run);
    lines.extend(shown.iter().map(|task| task_line(scene, task, look)));
    lines.push(foot(scene, look));
    lines
}

fn prompt(question: &str, keys: &str, look: &Look) -> String {
    format!("{} {question} {keys} ", look.paint(Tint::Strong, "❯"))
}

fn planning(scene: &Scene<'_>, look: &Look) -> String {
    let activity = scene.activities.get(&None);
    let agent = scene.run.detail.as_deref().map_or_else(|| "planning".to_owned(), plain);
    let time = clock(scene.now.millis_since(scene.run.started_at));
    let back = match activity {
        Some(activity) if activity.tokens > 0 => format!("  [{time}, {}]", tokens(activity.tokens)),
        _ => format!("  [{time}]"),
    };
    let mut said = format!("◎ {}… {agent}", scene.run.state.label());
    if let Some(activity) = activity {
        said.push_str(": ");
        said.push_str(&plain(&activity.text));
    }
    format!("{}{back}", fit(&said, look.width.saturating_sub(columns(&back) + 1)))
}

/// The tasks to show: those that ask, then those at work, then those that wait.
fn shown(run: &RunView) -> Vec<&TaskView> {
    let order = |task: &TaskView| match task.state {
        TaskWord::NeedsYou => Some(0),
        TaskWord::Checking => Some(1),
        TaskWord::Working => Some(2),
        TaskWord::Queued => Some(3),
        TaskWord::Waiting => Some(4),
        TaskWord::Merged
        | TaskWord::NoChange
        | TaskWord::Failed
        | TaskWord::Blocked
        | TaskWord::Cancelled => None,
    };
    let mut open: Vec<(u8, &TaskView)> =
        run.tasks.iter().filter_map(|task| Some((order(task)?, task))).collect();
    open.sort_by_key(|(order, _)| *order);
    open.into_iter().take(MAX_TASKS).map(|(_, task)| task).collect()
}

fn counter(scene: &Scene<'_>, look: &Look) -> String {
    let run = scene.run;
    let count =
        |words: &[TaskWord]| run.tasks.iter().filter(|it| words.contains(&it.state)).count();
    let done = run.tasks.iter().filter(|task| task.state.is_terminal()).count();
    let merged = count(&[TaskWord::Merged, TaskWord::NoChange]);
    let active = count(&[TaskWord::Working, TaskWord::Checking]);
    let total = run.tasks.len();
    let filled = done * BAR / total.max(1);
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
    let mut said = format!("{merged}/{total} merged · {active} active");
    for (word, label) in [(TaskWord::NeedsYou, "asks"), (TaskWord::Failed, "failed")] {
        let count = count(&[word]);
        if count > 0 {
            let separator = if label == "asks" { ", " } else { " · " };
            let _ = write!(said, "{separator}{count} {label}");
        }
    }
    let used = run.used.total_tokens();
    if used > 0 {
        let _ = write!(said, " · {}", tokens(used));
    }
    let front = format!(" {} [{:>5}] ", run.id, clock(super::lasted_ms(run, scene.now)));
    let free = look.width.saturating_sub(columns(&front) + BAR + 2);
    format!("{front}{}  {}", look.paint(Tint::Good, &bar), fit(&said, free))
}

fn task_line(scene: &Scene<'_>, task: &TaskView, look: &Look) -> String {
    let activity = scene.activities.get(&Some(task.id.clone()));
    let symbol = look.paint(super::tint_of(task.state), task.state.symbol());
    let front = format!(
        "{} {} {} ",
        cell(task.id.as_str(), 3),
        cell(&plain(&task.title), 14),
        cell(&plain(&task.agent), 7)
    );
    let time = if task.state == TaskWord::Waiting {
        " ".repeat(5)
    } else {
        format!("{:>5}", clock(scene.now.millis_since(task.since)))
    };
    let used = activity.map_or(0, |activity| activity.tokens);
    let back = if used > 0 { format!(" {:>9}", tokens(used)) } else { String::new() };
    let free = look.width.saturating_sub(4 + columns(&front) + columns(&time) + columns(&back));
    let said = cell(&doing(scene, task, look), free.saturating_sub(1));
    format!(" {symbol} {front}{time}  {said}{back}").trim_end().to_owned()
}

fn doing(scene: &Scene<'_>, task: &TaskView, look: &Look) -> String {
    if let Some(question) = &task.question {
        return format!("asks: {}", plain(&question.text));
    }
    if task.state == TaskWord::Working
        && let Some(activity) = scene.activities.get(&Some(task.id.clone()))
        && !activity.text.is_empty()
    {
        return plain(&activity.text);
    }
    let detail = task.detail.as_deref().map(plain);
    let until = task.until.map(|until| format!("until {}", at(until, scene.now, look.zone)));
    let word = task.state.label().to_lowercase();
    match (detail, until) {
        (Some(detail), Some(until)) => format!("{detail} {until}"),
        (Some(detail), None) => detail,
        (None, Some(until)) => format!("{word} {until}"),
        (None, None) => word,
    }
}

fn foot(scene: &Scene<'_>, look: &Look) -> String {
    let said = match scene.asking {
        Asking::Answer(task, _) => format!(" {task}: [y]es  [n]o  any other key: later"),
        Asking::Help => {
            " r answer a question · d what landed so far · t logs · p status · q leave".to_owned()
        }
        Asking::Nothing | Asking::Trust | Asking::Plan => {
            " r reply  d diff  t tail  q leave (run goes on)  ? help".to_owned()
        }
    };
    look.paint(Tint::Faint, &fit(&said, look.width))
}
