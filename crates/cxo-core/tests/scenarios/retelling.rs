//! Events, effects and views in a line each, with names in the place of hexadecimal digits.

use std::collections::BTreeMap;

use cxo_core::Stamped;
use cxo_protocol::view::RunView;
use cxo_protocol::{Action, Effect, Start};
use serde_json::Value;

pub(crate) struct Names(pub(crate) BTreeMap<String, String>);

impl Names {
    pub(crate) fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (hex, name)| text.replace(hex, name))
    }

    /// The digits that a name stands for.
    pub(crate) fn hex(&self, name: &str) -> String {
        let found = self.0.iter().find(|(_, named)| *named == name);
        found.unwrap_or_else(|| panic!("nothing is called {name}")).0.clone()
    }

    pub(crate) fn of(&self, hex: &str) -> String {
        self.0.get(hex).cloned().unwrap_or_else(|| hex.to_owned())
    }
}

/// `kind task {what else it says}`; settings, plans and empty counts are left out.
pub(crate) fn event(stamped: &Stamped, names: &Names) -> String {
    let Value::Object(mut fields) = serde_json::to_value(&stamped.event).unwrap() else {
        panic!("an event is an object")
    };
    let kind = fields.remove("type").unwrap();
    assert_eq!(kind, stamped.event.kind());
    let task = fields.remove("task");
    for quiet in ["options", "plan", "usage"] {
        fields.remove(quiet);
    }
    let mut line = stamped.event.kind().to_owned();
    if let Some(Value::String(task)) = task {
        line = format!("{line} {task}");
    }
    if !fields.is_empty() {
        line = format!("{line} {}", names.apply(&Value::Object(fields).to_string()));
    }
    line
}

pub(crate) fn effect(effect: &Effect, names: &Names) -> String {
    let what = match &effect.action {
        Action::PrepareBase { rev } => format!("prepare {rev}"),
        Action::CheckBase { commit, .. } => format!("check {}", names.of(commit.as_str())),
        Action::AskPlan(ask) => format!(
            "ask for a plan, try {}{}{}",
            ask.attempt,
            if ask.errors.is_empty() { String::new() } else { format!(", after {:?}", ask.errors) },
            ask.thread.as_ref().map(|thread| format!(", on {thread}")).unwrap_or_default(),
        ),
        Action::RunAttempt(attempt) => {
            let start = match &attempt.start {
                Start::Base => "fresh".to_owned(),
                Start::AsLeft => "as left".to_owned(),
                Start::At(commit) => format!("at {}", names.of(commit.as_str())),
            };
            let base = attempt.base.as_ref().map(|base| names.of(base.as_str()));
            let thread = attempt.thread.as_ref().map(|t| format!(", on {t}")).unwrap_or_default();
            let told = attempt.feedback.as_ref().map(|feedback| {
                format!(", told {}", names.apply(&serde_json::to_string(feedback).unwrap()))
            });
            let base = base.unwrap_or_else(|| "nothing".to_owned());
            let role = attempt.role.word();
            format!("{role} from {base}, {start}{thread}{}", told.unwrap_or_default())
        }
        Action::Merge(merge) => format!(
            "merge {} into {}",
            names.of(merge.work.as_str()),
            names.of(merge.target.as_str())
        ),
        Action::Verify { commit, checks, .. } => {
            let lines: Vec<String> =
                checks.iter().map(|check| format!("`{}`", check.line())).collect();
            format!("verify {} by {}", names.of(commit.as_str()), lines.join(", "))
        }
        Action::Advance { from, to, .. } => {
            format!("advance {} to {}", names.of(from.as_str()), names.of(to.as_str()))
        }
        Action::Publish { commit, previous } => {
            let previous = previous.as_ref().map(|commit| names.of(commit.as_str()));
            let instead = previous.map(|name| format!(" in the place of {name}"));
            format!("publish {}{}", names.of(commit.as_str()), instead.unwrap_or_default())
        }
    };
    format!("{}: {what}", effect.id)
}

/// What a person sees: the run, then its tasks.
pub(crate) fn view(view: &RunView, names: &Names) -> Vec<String> {
    let word = |value: Value, detail: &Option<String>| {
        let word = value.as_str().unwrap().to_owned();
        detail.as_ref().map_or(word.clone(), |detail| format!("{word} ({detail})"))
    };
    let mut lines = vec![format!(
        "| {}: {}{}",
        view.id,
        word(serde_json::to_value(view.state).unwrap(), &view.detail),
        view.failure.as_ref().map(|why| format!(" — {why}")).unwrap_or_default()
    )];
    lines.extend(view.failing_lines.iter().map(|line| format!("|   ! {line}")));
    if let Some(awaits) = &view.awaits {
        lines.push(format!("|   awaits {}", serde_json::to_string(awaits).unwrap()));
    }
    if view.used.total_tokens() > 0 {
        lines.push(format!("|   used {} tokens", view.used.total_tokens()));
    }
    for edge in &view.added_edges {
        lines.push(format!("|   {} before {}: both touch {}", edge.before, edge.after, edge.path));
    }
    for task in &view.tasks {
        let state = word(serde_json::to_value(task.state).unwrap(), &task.detail);
        let commit = task.commit.as_ref().map(|c| format!(" as {}", names.of(c.as_str())));
        lines.push(format!("|   {}: {state}{}", task.id, commit.unwrap_or_default()));
        lines.extend(task.failing_lines.iter().map(|line| format!("|     ! {line}")));
        if let Some(question) = &task.question {
            lines.push(format!("|     ? {}: {}", question.id, question.text));
        }
    }
    lines.into_iter().map(|line| names.apply(&line)).collect()
}
