//! The supervisor's memory: one JSON line for everything that must not be forgotten when it or
//! its daemon dies.
//!
//! Lines are written, not synced: losing the power ends the processes too, so there is nothing
//! left to be wrong about. This module knows files and entries, and nothing of processes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use cxo_protocol::{EffectId, Timestamp};
use serde::{Deserialize, Serialize};

use super::wire::{Exit, Refusal};

/// Below this size a journal is not worth being written anew.
const COMPACT_ABOVE_BYTES: u64 = 1024 * 1024;

/// A journal is written anew when it is this many times as large as what is still true in it, so
/// that the cost of doing so stays a small part of what was written before.
const COMPACT_FACTOR: u64 = 4;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// About to be started. If nothing follows, it may or may not have been.
    Intent { effect: EffectId, at: Timestamp },
    /// Started, as this process.
    Started { effect: EffectId, pid: i32, start_ticks: u64, at: Timestamp },
    /// Not started after all.
    Refused { effect: EffectId, why: Refusal },
    /// Its end was asked for.
    Stopping { effect: EffectId, reason: String, at: Timestamp },
    /// Ended.
    Exited(Exit),
    /// Its end need not be remembered.
    Forgot { effect: EffectId },
}

/// What is known of a process that has no end in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) at: Timestamp,
    /// Its id and start time, once it was started.
    pub(super) process: Option<(i32, u64)>,
}

/// What a journal says as a whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) open: BTreeMap<EffectId, Begun>,
    pub(super) ended: BTreeMap<EffectId, Exit>,
}

impl Memory {
    pub(super) fn take_in(&mut self, entry: Entry) {
        match entry {
            Entry::Intent { effect, at } => {
                self.open.insert(effect, Begun { at, process: None });
            }
            Entry::Started { effect, pid, start_ticks, at } => {
                self.open.insert(effect, Begun { at, process: Some((pid, start_ticks)) });
            }
            Entry::Refused { effect, why: _ } => {
                self.open.remove(&effect);
            }
            Entry::Stopping { .. } => {}
            Entry::Exited(exit) => {
                self.open.remove(&exit.effect);
                self.ended.insert(exit.effect.clone(), exit);
            }
            Entry::Forgot { effect } => {
                self.ended.remove(&effect);
            }
        }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let ended = self.ended.values().cloned().map(Entry::Exited);
        let open = self.open.iter().map(|(effect, begun)| match begun.process {
            Some((pid, start_ticks)) => {
                Entry::Started { effect: effect.clone(), pid, start_ticks, at: begun.at }
            }
            None => Entry::Intent { effect: effect.clone(), at: begun.at },
        });
        ended.chain(open)
    }
}

/// The open journal, and what it says.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes that are whole lines. What a failed write left behind them is cut off.
    written: u64,
    /// The size above which it is written anew.
    compact_above: u64,
    /// Lines that are not written yet.
    pending: Vec<u8>,
    memory: Memory,
}

impl Journal {
    /// Opens or makes the journal and reads it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line without an end was cut off by a crash in the middle of its write; nobody was
        // told what it says.
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let mut memory = Memory::default();
        for line in bytes[..whole].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            // A damaged line says nothing. Its process is still found by its marker.
            if let Ok(entry) = serde_json::from_slice(line) {
                memory.take_in(entry);
            }
        }
        let written = whole as u64;
        file.set_len(written)?;
        let path = path.to_owned();
        let pending = Vec::new();
        let mut journal =
            Self { path, file, written, compact_above: COMPACT_ABOVE_BYTES, pending, memory };
        if written > COMPACT_ABOVE_BYTES {
            journal.compact()?;
        }
        Ok(journal)
    }

    /// What it says, pending lines included.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Adds a line. Nobody may be told of it before [`Journal::write`] has succeeded.
    pub(super) fn add(&mut self, entry: Entry) {
        // Writing to memory and these types cannot fail.
        if serde_json::to_writer(&mut self.pending, &entry).is_ok() {
            self.pending.push(b'\n');
        }
        self.memory.take_in(entry);
    }

    /// Writes what was added, in one piece.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.file.write_all(&self.pending) {
            self.file.set_len(self.written)?;
            return Err(error);
        }
        self.written += self.pending.len() as u64;
        self.pending.clear();
        if self.written > self.compact_above {
            // Failing to shorten it loses nothing; it is tried again when it has grown further.
            let _ = self.compact();
            self.compact_above =
                self.written.saturating_mul(COMPACT_FACTOR).max(COMPACT_ABOVE_BYTES);
        }
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in self.memory.entries() {
            serde_json::to_writer(&mut bytes, &entry)?;
            bytes.push(b'\n');
        }
        let new = self.path.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        std::fs::rename(&new, &self.path)?;
        self.file = OpenOptions::new().append(true).open(&self.path)?;
        self.written = bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
