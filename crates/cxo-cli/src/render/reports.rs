//! Answers that are neither runs nor tasks: the doctor's findings, settings, receipts, pinned
//! works, what `init` did.

use std::fmt::Write as _;

use cxo_protocol::params::{Brought, DaemonStatus, ReceiptList, Recovered};
use cxo_protocol::report::{ConfigReport, DoctorReport, Health, InitReport};
use cxo_protocol::view::TaskWord;
use cxo_protocol::{Receipt, Timestamp, Verdict};

use super::{Look, Tint};
use crate::text::{at, cell, clock, columns, counted, fit, plain, took};

/// What the doctor found.
pub(crate) fn doctor(report: &DoctorReport, look: &Look) -> String {
    let mut text = String::new();
    let name = report.items.iter().map(|item| columns(&plain(&item.name))).max().unwrap_or(0);
    for item in &report.items {
        let (symbol, word, tint) = match item.health {
            Health::Good => (TaskWord::Merged.symbol(), "good", Tint::Good),
            Health::Weak => ("▲", "weak", Tint::Warn),
            Health::Bad => (TaskWord::Failed.symbol(), "bad", Tint::Bad),
        };
        let sign = look.paint(tint, &format!("{symbol} {word}"));
        let _ =
            writeln!(text, "{sign}  {}  {}", cell(&plain(&item.name), name), plain(&item.detail));
        if let Some(fix) = &item.fix {
            let _ = writeln!(text, "        {}  fix: {}", cell("", name), plain(fix));
        }
    }
    text
}

/// Settings, with or without where each comes from.
pub(crate) fn config(report: &ConfigReport, origin: Origin) -> String {
    let mut text = String::new();
    let lines: Vec<String> = report
        .entries
        .iter()
        .map(|entry| plain(&format!("{} = {}", entry.key, entry.value)))
        .collect();
    let width = lines.iter().map(|line| columns(line)).max().unwrap_or(0).min(48);
    for (entry, line) in report.entries.iter().zip(lines) {
        match origin {
            Origin::Hidden => text.push_str(&line),
            Origin::Shown => {
                let fill = width.saturating_sub(columns(&line));
                let _ = write!(text, "{line}{:fill$}  # {}", "", plain(&entry.origin));
            }
        }
        text.push('\n');
    }
    text
}

/// Whether settings show where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Values only.
    Hidden,
    /// With the layer of each.
    Shown,
}

/// `cargo test  passed  12.3 s`.
pub(crate) fn receipt(receipt: &Receipt) -> String {
    let verdict = match receipt.verdict {
        Verdict::Passed => "passed".to_owned(),
        Verdict::Failed { code: Some(code) } => format!("failed with exit code {code}"),
        Verdict::Failed { code: None } => "ended by a signal".to_owned(),
        Verdict::TimedOut { limit_ms } => format!("ended at its limit of {}", clock(limit_ms)),
        Verdict::NotStarted => "could not be started".to_owned(),
    };
    let symbol =
        if receipt.passed() { TaskWord::Merged.symbol() } else { TaskWord::Failed.symbol() };
    format!("{symbol} {}  {verdict}  {}", plain(&receipt.command), took(receipt.took_for_ms))
}

/// The receipts of a run.
pub(crate) fn receipts(list: &ReceiptList, look: &Look) -> String {
    let mut text = String::new();
    let width =
        |of: &cxo_protocol::params::ReceiptOf| of.task.as_ref().map_or(4, |id| id.as_str().len());
    let name = list.receipts.iter().map(width).max().unwrap_or(4);
    for of in &list.receipts {
        let task = of.task.as_ref().map_or("base", |task| task.as_str());
        let commit = of.commit.as_ref().map_or("–", |commit| commit.short());
        let tint = if of.receipt.passed() { Tint::Good } else { Tint::Bad };
        let _ = writeln!(
            text,
            "{}  commit {}  tree {}  {}",
            cell(task, name),
            cell(commit, 10),
            of.receipt.tree.short(),
            look.paint(tint, &receipt(&of.receipt))
        );
        for line in &of.receipt.failing_lines {
            let _ = writeln!(text, "    {}", fit(&plain(line), look.width.saturating_sub(4)));
        }
    }
    text
}

/// Works that can be restored.
pub(crate) fn pins(list: &Recovered, look: &Look, now: Timestamp) -> String {
    let mut text = String::new();
    let name = list.pins.iter().map(|pin| pin.attempt.as_str().len()).max().unwrap_or(0);
    for pin in &list.pins {
        let landed = if pin.landed { "landed    " } else { "not landed" };
        let line = format!(
            "{}  {}  {landed}  {}  {}",
            cell(pin.attempt.as_str(), name),
            pin.commit.short(),
            at(pin.at, now, look.zone),
            plain(&pin.subject)
        );
        let _ = writeln!(text, "{}", fit(&line, look.width));
    }
    text
}

/// What `cxo init` did.
pub(crate) fn init(report: &InitReport) -> String {
    let mut text = String::new();
    for (word, paths) in [("wrote", &report.written), ("kept", &report.kept)] {
        for path in paths {
            let _ = writeln!(text, "{word:<6} {}", plain(path));
        }
    }
    for note in &report.notes {
        let _ = writeln!(text, "{:<6} {}", "note", plain(note));
    }
    text
}

/// What a repository brings that will be executed.
pub(crate) fn brought(brought: &Brought, look: &Look) -> String {
    let (word, tint) =
        if brought.approved { ("approved", Tint::Faint) } else { ("not yet approved", Tint::Warn) };
    let head = format!(
        "▲ This repository brings {} that runs execute ({word})",
        counted(brought.lines.len(), "command or setting")
            .replace("command or settings", "commands or settings")
    );
    let mut text = look.paint(tint, &head);
    for line in &brought.lines {
        let _ = write!(text, "\n    {}", plain(line));
    }
    let _ = write!(text, "\n    hash {}", plain(&brought.hash));
    text
}

/// Which daemon it is.
pub(crate) fn daemon(status: &DaemonStatus, look: &Look, now: Timestamp) -> String {
    let supervisor = status.supervisor_pid.map_or("none".to_owned(), |pid| format!("pid {pid}"));
    let rows = [
        ("daemon", format!("pid {}, version {}", status.pid, plain(&status.version))),
        ("supervisor", supervisor),
        ("started", at(status.started_at, now, look.zone)),
        ("open runs", status.open_runs.to_string()),
        ("at work", status.effects.to_string()),
        ("queue", format!("{} of {}", status.queue, status.queue_capacity)),
        ("state", plain(&status.state_dir)),
        ("socket", plain(&status.socket)),
    ];
    let mut text = String::new();
    let http = status.http_port.map(|port| ("http", format!("127.0.0.1:{port}")));
    for (name, value) in rows.into_iter().chain(http) {
        let _ = writeln!(text, "{} {value}", look.paint(Tint::Faint, &format!("{name:<10}")));
    }
    text
}
