//! Codex's own record of a thread (its rollout file), which survives what its output does not:
//! after a SIGKILL it still tells the thread and what was used.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use cxo_protocol::Usage;
use serde::Deserialize;

use super::event::TokenUsage;

/// The most rollouts that are looked at. A private home has one, a few with sub-agents.
const MAX_ROLLOUTS: usize = 1_000;

/// The longest line of a rollout that is read: a record of usage has about one kB, and longer
/// lines (tool output) are skipped.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Directories below `sessions`: year, month, day.
const DEPTH: usize = 3;

/// What a private home remembers of its thread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The thread, if it got as far as being recorded.
    pub thread: Option<String>,
    /// What was used over the whole thread, if anything was recorded.
    pub usage_total: Option<Usage>,
}

/// Reads the record of `thread` in a private home; without a thread that of the newest one.
/// Whatever is missing or broken is left out: this is the second source, not the first.
pub fn recover(home: &Path, thread: Option<&str>) -> Recovered {
    let mut rollouts = rollouts(home);
    if let Some(thread) = thread {
        rollouts.retain(|(_, id)| id == thread);
    }
    // Their names begin with the time, so the greatest is the newest.
    let Some((path, id)) =
        rollouts.into_iter().max_by(|a, b| a.0.file_name().cmp(&b.0.file_name()))
    else {
        return Recovered { thread: thread.map(str::to_owned), usage_total: None };
    };
    let usage_total = usage_of(&path, &id);
    Recovered { thread: Some(id), usage_total }
}

/// Whether a private home holds a record of the thread that is worth a `resume`: one in which the
/// model has answered. Codex names a thread before it records the prompt, so that a thread that was
/// killed at its very beginning does not know its task; there is nothing in it to go on with.
pub(super) fn has_thread(home: &Path, thread: &str) -> bool {
    is_thread_id(thread)
        && rollouts(home).iter().any(|(path, id)| id == thread && usage_of(path, id).is_some())
}

/// Whether a text has the form of Codex's thread ids (a UUID), and so can be an argument.
pub(super) fn is_thread_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn rollouts(home: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![(home.join("sessions"), 0)];
    while let Some((directory, depth)) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten().take(MAX_ROLLOUTS) {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() && depth < DEPTH {
                directories.push((entry.path(), depth + 1));
            } else if kind.is_file() && found.len() < MAX_ROLLOUTS {
                found.extend(thread_of(&entry.path()).map(|id| (entry.path(), id)));
            }
        }
    }
    found
}

/// The thread in `rollout-2026-11-20T22-52-01-<thread>.jsonl`.
fn thread_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    let rest = name.strip_prefix("rollout-")?;
    let id = rest.get(rest.len().checked_sub(36)?..)?;
    is_thread_id(id).then(|| id.to_owned())
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    thread_id: String,
    thread_token_usage: Option<TokenUsage>,
}

/// The count over the whole thread in the last record of usage.
fn usage_of(path: &Path, thread: &str) -> Option<Usage> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let mut last = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line).ok()?;
        if read == 0 {
            return last;
        }
        // The rest of a long line comes as further pieces, none of which is a record.
        let is_candidate = line.ends_with(b"\n") && contains(&line, b"\"token_usage_record\"");
        if let (true, Ok(record)) = (is_candidate, serde_json::from_slice::<Record>(&line)) {
            let is_own = record.kind == "token_usage_record" && record.payload.thread_id == thread;
            if let (true, Some(usage)) = (is_own, record.payload.thread_token_usage) {
                last = Some(usage.into());
            }
        }
    }
}

fn contains(line: &[u8], words: &[u8]) -> bool {
    line.windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests;
