//! What callers of the server share: locks, tokens, events.

use std::fmt::Write as _;

use cxo_protocol::params::agents::{AgentView, TokenBudget};
use cxo_protocol::params::locks::{LockAcquire, LockGranted, LockStatus, LockView};
use cxo_protocol::topic::{AgentWord, TopicEvent};
use cxo_protocol::view::TaskWord;
use cxo_protocol::{LockKind, Timestamp};
use serde_json::Value;

use super::{Look, Tint};
use crate::text::{at, cell, columns, plain, shell_word};

/// A lock that was granted, and what was asked for.
pub(crate) struct Granted<'a> {
    /// What was asked for.
    pub(crate) wish: &'a LockAcquire,
    /// What was granted.
    pub(crate) lock: &'a LockGranted,
}

/// `✔ src/a.rs  l3  fence 3  until 14:05`.
pub(crate) fn granted(granted: &Granted<'_>, look: &Look, now: Timestamp) -> String {
    let Granted { wish, lock } = granted;
    format!(
        "{} {}  {}  fence {}  until {}",
        look.paint(Tint::Good, TaskWord::Merged.symbol()),
        plain(&path(&wish.path, wish.kind)),
        lock.lock_id,
        lock.fence,
        at(lock.expires_at, now, look.zone)
    )
}

/// Whether a path is locked, and by whom.
pub(crate) fn lock_of(path: &str, status: &LockStatus, look: &Look, now: Timestamp) -> String {
    let path = plain(path);
    let Some(holder) = &status.holder else { return format!("{path}  free") };
    let mut text = format!("{path}  {}", look.paint(Tint::Warn, &format!("held by {holder}")));
    let times = [("since", status.acquired_at), ("until", status.expires_at)];
    for (name, time) in times {
        if let Some(time) = time {
            let _ = write!(text, "  {name} {}", at(time, now, look.zone));
        }
    }
    if let Some(fence) = status.fence {
        let _ = write!(text, "  fence {fence}");
    }
    text
}

/// Every lock, a line each.
pub(crate) fn locks(status: &LockStatus, look: &Look, now: Timestamp) -> String {
    let row = |lock: &LockView| {
        [
            plain(&path(&lock.path, lock.kind)),
            lock.lock_id.to_string(),
            lock.holder.to_string(),
            at(lock.acquired_at, now, look.zone),
            at(lock.expires_at, now, look.zone),
            lock.fence.to_string(),
        ]
    };
    let rows: Vec<_> = status.locks.iter().flatten().map(row).collect();
    table(["PATH", "LOCK", "HOLDER", "SINCE", "UNTIL", "FENCE"], &rows, look)
}

/// A directory ends with what says that everything below it is meant.
fn path(path: &str, kind: LockKind) -> String {
    match kind {
        LockKind::File => path.to_owned(),
        LockKind::Prefix if path.is_empty() || path == "." => "**".to_owned(),
        LockKind::Prefix => format!("{path}/**"),
    }
}

/// The token budget, and what each agent used of it.
pub(crate) fn budget(budget: &TokenBudget, agents: &[AgentView], look: &Look) -> String {
    let limit = |tokens: u64| if tokens == 0 { "no limit".to_owned() } else { tokens.to_string() };
    let is_warned = budget.warning_threshold > 0 && budget.used >= budget.warning_threshold;
    let warning = if is_warned {
        look.paint(Tint::Warn, &format!("{} ▲ crossed", budget.warning_threshold))
    } else {
        limit(budget.warning_threshold)
    };
    let rows = [
        ("total", limit(budget.total_budget)),
        ("used", budget.used.to_string()),
        ("set aside", budget.reserved.to_string()),
        ("remaining", budget.remaining.map_or("no limit".to_owned(), |left| left.to_string())),
        ("warning at", warning),
        ("per agent", limit(budget.per_agent_limit)),
    ];
    let mut text = String::new();
    for (name, value) in rows {
        let _ = writeln!(text, "{} {value}", look.paint(Tint::Faint, &format!("{name:<10}")));
    }
    if !agents.is_empty() {
        let rows: Vec<_> = agents.iter().map(agent).collect();
        text.push('\n');
        text.push_str(&table(["AGENT", "KIND", "STATUS", "USED"], &rows, look));
    }
    text
}

fn agent(agent: &AgentView) -> [String; 4] {
    let status = match agent.status {
        AgentWord::Active => "active",
        AgentWord::Lost => "lost",
    };
    let kind = plain(&agent.agent_type);
    [agent.agent_id.to_string(), kind, status.to_owned(), agent.tokens_used.to_string()]
}

/// `12  14:05  lock.changed  action=released lock_id=k1 why=expired`.
pub(crate) fn event(event: &TopicEvent, look: &Look, now: Timestamp) -> String {
    let value = serde_json::to_value(&event.news).unwrap_or_default();
    let fields = value.get("data").and_then(Value::as_object).into_iter().flatten();
    let said: Vec<String> = fields
        .map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={}", shell_word(&plain(text))),
            None => format!("{name}={value}"),
        })
        .collect();
    format!(
        "{}  {}  {}  {}",
        look.paint(Tint::Faint, &event.seq.to_string()),
        at(event.timestamp, now, look.zone),
        look.paint(Tint::Strong, event.news.topic()),
        said.join(" ")
    )
}

/// Rows under a heading; every column but the last is as wide as its widest cell.
fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]], look: &Look) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column]));
        cells.chain([heading[column].len()]).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(widest);
    let line = |row: [&str; N]| {
        let cells = row.iter().zip(widths).map(|(text, width)| cell(text, width));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = look.paint(Tint::Faint, &line(heading));
    text.push('\n');
    for row in rows {
        text.push_str(&line(row.each_ref().map(String::as_str)));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
