//! Reads `codex exec --json`: lines to events, and the end of the process to a conclusion.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use cxo_protocol::{AgentFailure, Usage};
use jiff::tz::TimeZone;

use super::event::{ChangeKind, CodexLine, Item};
use super::failure::classify;
use super::{LAST_MESSAGE_FILE, recover};
use crate::adapter::lines::{Line, LineSplitter};
use crate::adapter::redaction::Redaction;
use crate::adapter::{
    AgentEvent, AgentSettings, Conclusion, Outcome, OutputForm, OutputReader, ProcessEnd,
    ReadRequest, plan_from_message,
};
use crate::transcript::{one_line, sanitise_plain};

/// The longest line that is understood. Codex keeps about one MiB of a command's output in one;
/// longer ones are counted and left alone.
const MAX_LINE_BYTES: usize = 16 << 20;

/// The longest line that says what an agent is doing: it stands in one row of a table.
const MAX_ACTIVITY_CHARS: usize = 120;

/// The longest message that is handed on: people read no more, and the raw log has all of it.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The longest text of a failure.
const MAX_FAILURE_CHARS: usize = 600;

/// The reader of one attempt.
pub(super) struct CodexReader {
    lines: LineSplitter,
    redaction: Redaction,
    workspace: String,
    home: PathBuf,
    last_message_file: PathBuf,
    form: OutputForm,
    time_zone: TimeZone,
    usage_before: Usage,
    thread: Option<String>,
    message: Option<String>,
    usage_total: Option<Usage>,
    turn: Turn,
    /// The last error that Codex told outside of a turn's end.
    last_error: Option<String>,
    ignored_lines: u64,
}

/// What Codex itself said about the turn.
enum Turn {
    Open,
    Completed,
    Failed(String),
}

impl CodexReader {
    pub(super) fn new(
        request: &ReadRequest<'_>,
        settings: &AgentSettings,
        keys: &BTreeSet<String>,
    ) -> Self {
        // Codex tells times in the zone that it was started in.
        let named = settings.env.get("TZ").or_else(|| request.user_env.get("TZ"));
        let time_zone = named
            .and_then(|name| TimeZone::get(name.trim_start_matches(':')).ok())
            .unwrap_or_else(TimeZone::system);
        Self {
            lines: LineSplitter::new(MAX_LINE_BYTES),
            redaction: Redaction::of(request.user_env, &settings.env, keys),
            workspace: request.workspace.to_string_lossy().into_owned(),
            home: request.home.to_owned(),
            last_message_file: request.files.join(LAST_MESSAGE_FILE),
            form: request.form,
            time_zone,
            usage_before: request.usage_before,
            thread: request.thread.map(str::to_owned),
            message: None,
            usage_total: None,
            turn: Turn::Open,
            last_error: None,
            ignored_lines: 0,
        }
    }

    fn line(&mut self, line: &Line) -> Option<AgentEvent> {
        let bytes = match line {
            Line::Whole(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => return None,
            Line::Whole(bytes) => bytes,
            Line::Cut(_) => {
                self.ignored_lines += 1;
                return None;
            }
        };
        // Broken UTF-8 costs its characters, not the line.
        if let Ok(line) = serde_json::from_str(&String::from_utf8_lossy(bytes)) {
            return self.event(line);
        }
        self.ignored_lines += 1;
        None
    }

    fn event(&mut self, line: CodexLine) -> Option<AgentEvent> {
        match line {
            CodexLine::ThreadStarted { thread_id } => {
                // It comes back as an argument of `resume`: only what is plainly an id may.
                if !recover::is_thread_id(&thread_id) {
                    self.ignored_lines += 1;
                    return None;
                }
                // Counts go on over one thread only: a new one begins at nothing.
                if self.thread.as_ref() != Some(&thread_id) {
                    self.usage_before = Usage::default();
                }
                self.thread = Some(thread_id.clone());
                Some(AgentEvent::ThreadStarted { thread: thread_id })
            }
            CodexLine::TurnStarted => None,
            CodexLine::ItemStarted { item } | CodexLine::ItemUpdated { item } => {
                self.activity(&item)
            }
            CodexLine::ItemCompleted { item } => match item {
                Item::AgentMessage { text } => {
                    let shown = self.shown_message(&text);
                    self.message = Some(text);
                    Some(AgentEvent::Message { text: shown })
                }
                Item::Error { message } => {
                    Some(AgentEvent::Activity { text: self.short(&format!("warning: {message}")) })
                }
                // What was told when it started is not told again.
                Item::CommandExecution { .. }
                | Item::FileChange { .. }
                | Item::McpToolCall { .. }
                | Item::TodoList { .. } => None,
                Item::Reasoning | Item::WebSearch { .. } => self.activity(&item),
                Item::Unknown => {
                    self.ignored_lines += 1;
                    None
                }
            },
            CodexLine::TurnCompleted { usage } => {
                let cumulative = Usage::from(usage);
                self.turn = Turn::Completed;
                self.usage_total = Some(cumulative);
                Some(AgentEvent::UsageTotal { cumulative })
            }
            CodexLine::TurnFailed { error } => {
                self.turn = Turn::Failed(error.message);
                None
            }
            CodexLine::Error { message } => {
                let retrying = message.starts_with("Reconnecting");
                let shown = self.failure_text(&message);
                self.last_error = Some(message);
                retrying.then_some(AgentEvent::Retrying { message: shown })
            }
            CodexLine::Unknown => {
                self.ignored_lines += 1;
                None
            }
        }
    }

    fn activity(&mut self, item: &Item) -> Option<AgentEvent> {
        let text = match item {
            Item::CommandExecution { command } => format!("running {}", bare_command(command)),
            Item::FileChange { changes } => {
                let first = changes.first()?;
                let verb = match first.kind {
                    ChangeKind::Add => "adding",
                    ChangeKind::Delete => "deleting",
                    ChangeKind::Update => "editing",
                };
                let path = self.relative(&first.path);
                match changes.len() - 1 {
                    0 => format!("{verb} {path}"),
                    more => format!("{verb} {path} and {more} more"),
                }
            }
            Item::McpToolCall { server, tool } => format!("calling {server}.{tool}"),
            Item::WebSearch { query } => format!("searching for {query}"),
            Item::TodoList { items } => {
                let done = items.iter().filter(|item| item.completed).count();
                format!("{done} of {} steps done", items.len())
            }
            Item::Reasoning => "thinking".to_owned(),
            Item::AgentMessage { .. } | Item::Error { .. } => return None,
            Item::Unknown => {
                self.ignored_lines += 1;
                return None;
            }
        };
        Some(AgentEvent::Activity { text: self.short(&text) })
    }

    fn relative<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.workspace).map_or(path, |rest| rest.trim_start_matches('/'))
    }

    fn short(&self, text: &str) -> String {
        one_line(&self.redaction.hide(text), MAX_ACTIVITY_CHARS)
    }

    fn failure_text(&self, text: &str) -> String {
        one_line(&self.redaction.hide(text), MAX_FAILURE_CHARS)
    }

    fn shown_message(&self, text: &str) -> String {
        let end = text.floor_char_boundary(MAX_MESSAGE_BYTES);
        let mut shown = sanitise_plain(self.redaction.hide(&text[..end]).as_bytes());
        if end < text.len() {
            shown.push_str("\n…");
        }
        shown
    }

    fn outcome(&mut self, end: &ProcessEnd, stderr_tail: &str) -> Outcome {
        if let Some(failure) = end.imposed_failure() {
            return Outcome::Failed(failure);
        }
        match std::mem::replace(&mut self.turn, Turn::Open) {
            Turn::Completed if end.code == Some(0) => {
                let message = self.message.take().or_else(|| self.message_from_file());
                let message = message.unwrap_or_default();
                let structured = match self.form {
                    OutputForm::Text => None,
                    OutputForm::Json => plan_from_message(&message).ok(),
                };
                Outcome::Completed { message: self.shown_message(&message), structured }
            }
            Turn::Failed(text) => {
                let message = words_of_body(&text).unwrap_or(text);
                let failure = classify(&message, end, &self.time_zone);
                Outcome::Failed(self.worded(failure, &message))
            }
            Turn::Completed | Turn::Open => {
                let told = self.last_error.take().filter(|_| end.signal.is_none());
                let text = told.unwrap_or_else(|| last_lines(stderr_tail));
                let failure = if end.signal.is_some() {
                    AgentFailure::Exited { code: None, signal: end.signal, message: String::new() }
                } else {
                    classify(&text, end, &self.time_zone)
                };
                Outcome::Failed(self.worded(failure, &text))
            }
        }
    }

    /// Puts the agent's words, made safe, into a failure.
    fn worded(&self, failure: AgentFailure, text: &str) -> AgentFailure {
        let message = self.failure_text(text);
        match failure {
            AgentFailure::UsageLimit { resets_at, .. } => {
                AgentFailure::UsageLimit { resets_at, message }
            }
            AgentFailure::RateLimited { retry_after_ms, .. } => {
                AgentFailure::RateLimited { retry_after_ms, message }
            }
            AgentFailure::SignIn { .. } => AgentFailure::SignIn { message },
            AgentFailure::Model { .. } => AgentFailure::Model { message },
            AgentFailure::Transport { .. } => AgentFailure::Transport { message },
            AgentFailure::Exited { code, signal, .. } => {
                AgentFailure::Exited { code, signal, message }
            }
            AgentFailure::NotStarted { .. } => AgentFailure::NotStarted { message },
            AgentFailure::Silent { .. }
            | AgentFailure::TimedOut { .. }
            | AgentFailure::LogLimit { .. }
            | AgentFailure::Lost => failure,
        }
    }

    /// Codex writes its last message into a file too, which helps where the line was too long.
    fn message_from_file(&self) -> Option<String> {
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&self.last_message_file).ok()?;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl OutputReader for CodexReader {
    fn feed(&mut self, stdout: &[u8]) -> Vec<AgentEvent> {
        let lines = self.lines.feed(stdout);
        lines.iter().filter_map(|line| self.line(line)).collect()
    }

    fn finish(mut self: Box<Self>, end: &ProcessEnd, stderr_tail: &str) -> Conclusion {
        if let Some(line) = self.lines.finish() {
            self.line(&line);
        }
        // The record comes first: a turn that fails prints no usage, and the tokens of one that
        // was killed are missing from all that is printed later on its thread.
        let recovered = recover(&self.home, self.thread.as_deref());
        self.thread = self.thread.take().or(recovered.thread);
        self.usage_total = recovered.usage_total.or(self.usage_total);
        let outcome = self.outcome(end, stderr_tail);
        let total = self.usage_total.unwrap_or(self.usage_before);
        Conclusion {
            outcome,
            usage: total.since(&self.usage_before),
            thread: self.thread,
            ignored_lines: self.ignored_lines,
        }
    }
}

/// The command without the shell that Codex wraps it in: `/bin/bash -lc 'cargo test'`.
fn bare_command(command: &str) -> &str {
    let Some((shell, rest)) = command.split_once(' ') else { return command };
    let name = Path::new(shell).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if !["sh", "bash", "zsh", "dash"].contains(&name) {
        return command;
    }
    let Some(script) = rest.strip_prefix("-lc ").or_else(|| rest.strip_prefix("-c ")) else {
        return command;
    };
    let quoted = |quote| script.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    quoted('\'').or_else(|| quoted('"')).unwrap_or(script)
}

/// The words in a provider's answer, which Codex hands on as it is when a request is refused.
fn words_of_body(text: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(text).ok()?;
    let error = body.get("error")?;
    let kind = error.get("type").and_then(serde_json::Value::as_str).unwrap_or("error");
    let message = error.get("message")?.as_str()?;
    Some(format!("{message} ({kind})"))
}

/// The last few lines of standard error, as one text.
fn last_lines(stderr_tail: &str) -> String {
    const MOST: usize = 5;
    let lines: Vec<&str> = stderr_tail
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("Reading additional input"))
        .collect();
    lines[lines.len().saturating_sub(MOST)..].join("\n")
}

#[cfg(test)]
mod tests;
