//! The witness log: what was asked and what was answered, in order, independent of anything that
//! the agent or the orchestrator say about it.

use std::fs::File;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WitnessEntry {
    /// Its number, from 1.
    pub seq: u64,
    /// Milliseconds since the server began.
    pub at_ms: u64,
    /// The agent's thread.
    pub thread: String,
    /// The model that was asked for.
    pub model: String,
    /// The script that was taken.
    pub script: Option<String>,
    /// The turn of the script, from 1.
    pub turn: usize,
    /// The first step of the reply, from 1.
    pub step: usize,
    /// How many prompts the conversation has.
    pub prompts: usize,
    /// Whether a schema was asked for.
    pub wants_json: bool,
    /// What was answered.
    pub answer: Answer,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// These steps of the script, by what they do.
    Steps(Vec<String>),
    /// A wait for a running command.
    AwaitCommand,
    /// A last word, because the script had nothing left.
    NothingLeft,
    /// A fault of the script.
    Fault(String),
    /// The request was refused, with this reason.
    Refused(String),
}

/// The log in memory, and in a file when one was named.
#[derive(Debug)]
pub(super) struct Witness {
    began_at: Instant,
    entries: Mutex<Vec<WitnessEntry>>,
    grown: Condvar,
    file: Option<File>,
}

impl Witness {
    pub(super) fn new(file: Option<File>) -> Self {
        Self {
            began_at: Instant::now(),
            entries: Mutex::new(Vec::new()),
            grown: Condvar::new(),
            file,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<WitnessEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers and adds an entry. A log file that cannot be written is not worth failing the
    /// agent's request for: the entry is still in memory.
    pub(super) fn add(&self, mut entry: WitnessEntry) {
        let mut entries = self.lock();
        entry.seq = entries.len() as u64 + 1;
        entry.at_ms = u64::try_from(self.began_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let (Some(mut file), Ok(line)) = (self.file.as_ref(), serde_json::to_string(&entry)) {
            drop(file.write_all(format!("{line}\n").as_bytes()));
        }
        entries.push(entry);
        self.grown.notify_all();
    }

    pub(super) fn entries(&self) -> Vec<WitnessEntry> {
        self.lock().clone()
    }

    /// Waits until an entry fits, at most `limit`.
    pub(super) fn wait_for(
        &self,
        limit: Duration,
        fits: &dyn Fn(&WitnessEntry) -> bool,
    ) -> Option<WitnessEntry> {
        let until = Instant::now() + limit;
        let mut entries = self.lock();
        loop {
            if let Some(found) = entries.iter().find(|entry| fits(entry)) {
                return Some(found.clone());
            }
            let left = until.checked_duration_since(Instant::now())?;
            let waited = self.grown.wait_timeout(entries, left);
            entries = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
