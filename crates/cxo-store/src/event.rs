//! What goes in and comes out: events, answers, groups of them, and the limits on each.
//!
//! It must not know how any of it is kept.

use cxo_protocol::rows::Row;
use cxo_protocol::{RunId, Timestamp};

use crate::StoreError;

/// Events in one append. The run loop takes at most 1024 commands at a time and the largest plan
/// has 10 000 tasks; this leaves room for both at once.
pub const MAX_BATCH_EVENTS: usize = 65_536;

/// Bytes of one body or answer. A goal has at most 512 KiB and a plan of 10 000 tasks about 8 MiB.
pub const MAX_BODY_BYTES: usize = 32 << 20;

/// Bytes of the name of an event. Longer ones do not fit a line of a screen.
pub const MAX_KIND_BYTES: usize = 64;

/// Events in one answer to a read, so that a caller's limit cannot fill the memory.
pub const MAX_READ_EVENTS: usize = 65_536;

/// The place of an event in the log, from 1; zero is the place before the first. Numbers are never
/// given twice, and forgetting a run leaves gaps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A part of the log that can be read by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Everything; nothing is appended here.
    All,
    /// The events of the repository itself.
    Repository,
    /// The events of one run.
    Run(RunId),
}

impl Stream {
    /// The name of the stream in the log; `None` for all of them.
    pub(crate) fn key(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Repository => Some(""),
            Self::Run(run) => Some(run.as_str()),
        }
    }
}

/// A fact to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The stream that it belongs to: a run's or the repository's.
    pub stream: Stream,
    /// When it happened.
    pub ts: Timestamp,
    /// The name of the event's type.
    pub kind: String,
    /// The event, as JSON.
    pub body: String,
}

/// A fact that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub seq: Seq,
    /// The stream that it belongs to: a run's or the repository's.
    pub stream: Stream,
    /// When it happened.
    pub ts: Timestamp,
    /// The name of the event's type.
    pub kind: String,
    /// The event, as JSON.
    pub body: String,
}

/// The answer to a call with an idempotency key, kept so that a repeat gets the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who called.
    pub principal: String,
    /// The method that was called.
    pub method: String,
    /// The key that the caller chose.
    pub idem_key: String,
    /// The digest of the call's parameters, so that a key used for something else is noticed.
    pub body_hash: String,
    /// The answer, as JSON.
    pub answer: String,
    /// From when on it need not be remembered.
    pub expires_at: Timestamp,
}

/// Everything that is committed together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The facts, in order.
    pub events: Vec<NewEvent>,
    /// The rows of the projections that they changed.
    pub rows: Vec<Row>,
    /// The answers to remember.
    pub answers: Vec<Answer>,
}

impl Batch {
    /// Refuses what no store may take, before anything is written.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.events.len() > MAX_BATCH_EVENTS {
            return Err(StoreError::TooManyEvents { events: self.events.len() });
        }
        for (index, event) in self.events.iter().enumerate() {
            if event.stream == Stream::All {
                return Err(StoreError::NoStream { index });
            }
            if event.kind.is_empty() || event.kind.len() > MAX_KIND_BYTES {
                return Err(StoreError::BadKind { index, bytes: event.kind.len() });
            }
            check_size(event.body.len())?;
            check_number("events.at", event.ts.0)?;
        }
        for answer in &self.answers {
            check_size(answer.answer.len())?;
            check_number("answers.expires_at", answer.expires_at.0)?;
        }
        Ok(())
    }
}

fn check_size(bytes: usize) -> Result<(), StoreError> {
    if bytes > MAX_BODY_BYTES { Err(StoreError::TooLarge { bytes }) } else { Ok(()) }
}

/// SQL integers are signed: the upper half of `u64` cannot be kept.
pub(crate) fn check_number(column: &'static str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::OutOfRange { column, value })
}

/// The columns of an event that its checksum covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed<'a> {
    pub(crate) seq: u64,
    pub(crate) position: u64,
    pub(crate) at: u64,
    pub(crate) run: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) body: &'a str,
}

impl Sealed<'_> {
    /// A flipped bit anywhere in the row changes this.
    pub(crate) fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.position.to_le_bytes());
        hasher.update(&self.at.to_le_bytes());
        for text in [self.run, self.kind, self.body] {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize()
    }
}

impl Answer {
    pub(crate) fn crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.expires_at.0.to_le_bytes());
        for text in [&self.principal, &self.method, &self.idem_key, &self.body_hash, &self.answer] {
            hasher.update(&text.len().to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize()
    }
}
