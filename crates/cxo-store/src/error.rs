//! Everything that can go wrong with a store, by name.
//!
//! Each refusal leaves the store as it was. It must not know what the caller will do about it.

use std::path::PathBuf;

use cxo_protocol::RunId;

use crate::event::{MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_KIND_BYTES};
use crate::{SCHEMA_VERSION, Seq};

/// Why a store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the state open for writing, or holds it locked.
    #[error("{} is in use by {}; nothing was changed: stop that process or use it", path.display(), shown(*holder))]
    Busy {
        /// The database.
        path: PathBuf,
        /// The process that owns it, where it said so.
        holder: Option<u32>,
    },
    /// The file or its directory cannot be written.
    #[error("{} cannot be written (the file or its directory is read-only); nothing was changed: allow writing or choose another directory with `[state] dir`", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
    },
    /// Parts of the file are missing or were changed by something else.
    #[error("{} is damaged: {what}; nothing was changed: keep a copy of the file and restore a backup", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file is no database, or its first page is damaged.
    #[error("{} is not a database, or its first page is damaged; nothing was changed: move the file away or restore a backup", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// A database, but of another program.
    #[error("{} is a database of another program (application id {found:#010x}); nothing was changed: choose another directory with `[state] dir`", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The application id that it carries.
        found: u32,
    },
    /// Written by a newer release.
    #[error("{} has schema version {found} and this release knows up to {SCHEMA_VERSION}; nothing was changed: use cxo {needs_cxo} or later", path.display())]
    FutureSchema {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The first release that can read it.
        needs_cxo: String,
    },
    /// A network file system, where locks and shared memory cannot be relied on.
    #[error("{} is on {file_system}, which does not lock files reliably; nothing was changed: choose a local directory with `[state] dir`", path.display())]
    UnsupportedFileSystem {
        /// The database.
        path: PathBuf,
        /// The file system's name.
        file_system: &'static str,
    },
    /// The disk is full.
    #[error("the disk is full: {} could not grow; this group of changes was refused as a whole: free some space and try again", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The caller decided on an old state.
    #[error(
        "the log ends at event {last}, not at {after}; nothing was written: read on and decide again"
    )]
    Conflict {
        /// What the caller took for the last event.
        after: Seq,
        /// The last event.
        last: Seq,
    },
    /// Somebody else took the lease.
    #[error(
        "the right to write (epoch {epoch}) went to {holder} (epoch {current}); nothing was written"
    )]
    LeaseLost {
        /// The epoch of the lease that was shown.
        epoch: u64,
        /// The epoch that is good now.
        current: u64,
        /// Who holds it.
        holder: String,
    },
    /// An event does not have the checksum that it was written with.
    #[error(
        "event {seq} is damaged: its checksum does not match; events before it and other runs can still be read"
    )]
    Corrupt {
        /// The event.
        seq: Seq,
    },
    /// A stream has fewer events than it should.
    #[error(
        "event number {position} of {} is missing; other streams can still be read",
        stream_name(run)
    )]
    Missing {
        /// The stream: a run's id, or empty for the repository's own.
        run: String,
        /// The place in the stream, from 1.
        position: u64,
    },
    /// A remembered answer does not have the checksum that it was written with.
    #[error("the remembered answer to {method} with key {} is damaged", idem_key.escape_default())]
    CorruptAnswer {
        /// The method.
        method: String,
        /// The caller's key.
        idem_key: String,
    },
    /// A row of a projection holds something that cannot have been written.
    #[error(
        "column {column} of table {table} holds an impossible value; the events are not concerned: rebuild the projections from the log"
    )]
    BadRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
    /// The run is not there.
    #[error("there is no run {run}")]
    UnknownRun {
        /// The run.
        run: RunId,
    },
    /// The run has not ended.
    #[error("run {run} has not ended and cannot be forgotten; nothing was deleted")]
    RunOpen {
        /// The run.
        run: RunId,
    },
    /// An event that belongs to no stream.
    #[error("event {index} of the group names no stream; nothing was written")]
    NoStream {
        /// Its place in the group, from 0.
        index: usize,
    },
    /// The name of an event is empty or too long.
    #[error(
        "event {index} of the group has a name of {bytes} bytes, 1 to {MAX_KIND_BYTES} are allowed; nothing was written"
    )]
    BadKind {
        /// Its place in the group, from 0.
        index: usize,
        /// The length of its name.
        bytes: usize,
    },
    /// A body or an answer is too large.
    #[error("a body of {bytes} bytes is over the limit of {MAX_BODY_BYTES}; nothing was written")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The group is too large.
    #[error(
        "a group of {events} events is over the limit of {MAX_BATCH_EVENTS}; nothing was written"
    )]
    TooManyEvents {
        /// Its size.
        events: usize,
    },
    /// A number that does not fit a column.
    #[error("{value} does not fit column {column}; nothing was written")]
    OutOfRange {
        /// The column.
        column: &'static str,
        /// The number.
        value: u64,
    },
    /// The file system failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// SQLite failed in a way that has no name here.
    #[error("cannot {doing} {}: {source}", path.display())]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
}

fn shown(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

fn stream_name(run: &str) -> String {
    if run.is_empty() { "the repository".to_owned() } else { format!("run {run}") }
}
