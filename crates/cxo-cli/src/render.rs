//! From views to text: pure functions, for any width, with and without colour. Words and symbols
//! of states come from the views' own types; nothing here decides what a state is.

pub(crate) mod change;
pub(crate) mod graph;
pub(crate) mod live;
pub(crate) mod plan;
pub(crate) mod problem;
pub(crate) mod reports;
pub(crate) mod shared;
pub(crate) mod status;
pub(crate) mod summary;

use cxo_protocol::view::{Awaits, RunView, RunWord, TaskView, TaskWord};
use cxo_protocol::{Receipt, Timestamp};

use crate::text::{Zone, plain, shell_word};

/// How text is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether colours are written.
    pub(crate) colour: Colour,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Where the hands of the clock are read.
    pub(crate) zone: Zone,
}

/// Whether colours are written. They are never the only carrier of a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As SGR sequences.
    On,
    /// Plain text.
    Off,
}

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tint {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// Look here.
    Warn,
    /// It goes on.
    Busy,
    /// Less important.
    Faint,
    /// More important.
    Strong,
}

impl Look {
    /// The text in a tint, where colours are written.
    pub(crate) fn paint(&self, tint: Tint, text: &str) -> String {
        if self.colour == Colour::Off || text.is_empty() {
            return text.to_owned();
        }
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Warn => "33",
            Tint::Busy => "36",
            Tint::Faint => "2",
            Tint::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// The tint of a task's state.
pub(crate) fn tint_of(word: TaskWord) -> Tint {
    match word {
        TaskWord::NeedsYou => Tint::Warn,
        TaskWord::Working | TaskWord::Checking => Tint::Busy,
        TaskWord::Merged => Tint::Good,
        TaskWord::Failed | TaskWord::Blocked => Tint::Bad,
        TaskWord::Queued | TaskWord::Waiting | TaskWord::NoChange | TaskWord::Cancelled => {
            Tint::Faint
        }
    }
}

/// The symbol and the tint of a run's state: those of a task that is in a like state.
pub(crate) fn sign_of(word: RunWord) -> (&'static str, Tint) {
    let like = match word {
        RunWord::Planning => TaskWord::Checking,
        RunWord::NeedsManualReview => TaskWord::NeedsYou,
        RunWord::Running => TaskWord::Working,
        RunWord::Merging => TaskWord::Queued,
        RunWord::Planned => TaskWord::Waiting,
        RunWord::Done => TaskWord::Merged,
        RunWord::Failed => TaskWord::Failed,
        RunWord::Cancelled => TaskWord::Cancelled,
    };
    (like.symbol(), tint_of(like))
}

/// The word of a task's state; a merge that no check proved says so.
pub(crate) fn word_of(run: &RunView, task: &TaskView) -> String {
    if task.state == TaskWord::Merged && run.checks.is_empty() {
        format!("{} (unchecked)", task.state.label())
    } else {
        task.state.label().to_owned()
    }
}

/// How many tasks are in which state, in the order of the screens: `3 merged · 1 failed`.
pub(crate) fn counts(run: &RunView) -> String {
    let mut parts = Vec::new();
    for word in TaskWord::ALL {
        let count = run.tasks.iter().filter(|task| task.state == word).count();
        if count > 0 {
            parts.push(format!("{count} {}", word.label().to_lowercase()));
        }
    }
    if parts.is_empty() { "no tasks".to_owned() } else { parts.join(" · ") }
}

/// The same in few columns: `3/8 merged · 1 failed · 2 active`.
pub(crate) fn brief_counts(run: &RunView) -> String {
    let count =
        |words: &[TaskWord]| run.tasks.iter().filter(|task| words.contains(&task.state)).count();
    let merged = count(&[TaskWord::Merged, TaskWord::NoChange]);
    let mut said = format!("{merged}/{} merged", run.tasks.len());
    let more = [
        (count(&[TaskWord::Failed]), "failed"),
        (count(&[TaskWord::Working, TaskWord::Checking]), "active"),
    ];
    for (count, word) in more {
        if count > 0 {
            said.push_str(" · ");
            said.push_str(&count.to_string());
            said.push(' ');
            said.push_str(word);
        }
    }
    said
}

/// `checks 3/3`, or that there were none.
pub(crate) fn checks(run: &RunView, receipts: &[Receipt]) -> String {
    if run.checks.is_empty() {
        return "unchecked".to_owned();
    }
    if receipts.is_empty() {
        return String::new();
    }
    let passed = receipts.iter().filter(|receipt| receipt.passed()).count();
    format!("checks {passed}/{}", run.checks.len().max(receipts.len()))
}

/// `+41 -6`.
pub(crate) fn change(task: &TaskView) -> String {
    task.change.map(|change| format!("+{} -{}", change.added, change.removed)).unwrap_or_default()
}

/// What a person is expected to do now, each with the command that does it.
pub(crate) fn expected(run: &RunView) -> Vec<(String, String)> {
    match &run.awaits {
        Some(Awaits::Trust { .. }) => vec![(
            "approve the commands that the repository brings".to_owned(),
            format!("cxo resume {} --yes", run.id),
        )],
        Some(Awaits::Plan) => {
            vec![("approve the plan".to_owned(), format!("cxo resume {} --yes", run.id))]
        }
        Some(Awaits::Answers { tasks }) => {
            let asked = tasks.iter().map(|id| {
                let task = run.tasks.iter().find(|task| task.id == *id);
                let question = task.and_then(|task| task.question.as_ref());
                let text = question.map_or_else(|| "answer".to_owned(), |asked| plain(&asked.text));
                let command =
                    task.map_or_else(|| format!("cxo status {}", run.id), |t| yes(run, t));
                (format!("{id}: {text} (yes, or no)"), command)
            });
            asked.collect()
        }
        None => Vec::new(),
    }
}

/// The command that answers a task's question with yes: to what was shown, and to nothing else.
pub(crate) fn yes(run: &RunView, task: &TaskView) -> String {
    let command = format!("cxo task reply {}/{} yes", run.id, task.id);
    match task.question.as_ref().and_then(|question| question.work.as_ref()) {
        Some(work) => format!("{command} --work {}", work.short()),
        None => command,
    }
}

/// The commands that go on from a failed task.
pub(crate) fn remedies(run: &RunView, task: &TaskView) -> Vec<String> {
    let name = shell_word(&format!("{}/{}", run.id, task.id));
    vec![
        format!("cxo task retry {name} --note 'what to do differently'"),
        format!("cxo task skip {name}"),
    ]
}

/// How long a run has been going, or took.
pub(crate) fn lasted_ms(run: &RunView, now: Timestamp) -> u64 {
    run.ended_at.unwrap_or(now).millis_since(run.started_at)
}

#[cfg(test)]
pub(crate) mod examples;
#[cfg(test)]
mod tests;
