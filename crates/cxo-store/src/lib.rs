//! The store: the event log, which is the truth, and the projections that people read beside it.
//!
//! It keeps what it is handed and gives it back: events as JSON text, rows and remembered answers.
//! It must not know what an event means, and knows no core, git or agent. This crate holds the only
//! SQL of the product.
//!
//! The calls block and belong to one thread, the one that owns the state: a group of commands is
//! committed by one [`Store::append`]. Other threads read through [`Store::reader`].

mod error;
mod event;
mod lease;
mod memory;
mod sqlite;

pub use error::StoreError;
pub use event::{
    Answer, Batch, MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_KIND_BYTES, MAX_READ_EVENTS, NewEvent,
    Seq, StoredEvent, Stream,
};
pub use lease::Lease;
pub use memory::MemoryStore;
pub use sqlite::{SCHEMA_VERSION, SqliteReader, SqliteStore};

use cxo_protocol::rows::{AttemptRow, LandingRow, QuestionRow, Row, RunRow, TaskRow, UsageRow};
use cxo_protocol::{RunId, Timestamp};

/// Which runs to list; always the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunFilter {
    /// Every run that has not ended.
    Open,
    /// The newest runs, open or not.
    Newest {
        /// At most so many.
        limit: usize,
    },
}

/// What [`Store::forget`] took away, so that the caller can delete the files that belonged to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgotten {
    /// How many events were deleted.
    pub events: u64,
    /// The log files of the attempts whose rows were deleted, relative to the state directory.
    pub logs: Vec<String>,
}

/// Reading. Each call sees one consistent state: all of an append or nothing of it.
pub trait Reader: Send {
    /// The events of `stream` after `after`, oldest first: at most `limit`, and never more than
    /// [`MAX_READ_EVENTS`]. An empty answer means that there are no more.
    fn read(
        &self,
        stream: &Stream,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError>;
    /// The number of the newest event; zero when there never was one.
    fn last_seq(&self) -> Result<Seq, StoreError>;
    /// The runs, newest first.
    fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, StoreError>;
    /// One run.
    fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError>;
    /// The tasks of a run, in the order of the plan.
    fn tasks(&self, run: &RunId) -> Result<Vec<TaskRow>, StoreError>;
    /// The attempts of a run, by task and number.
    fn attempts(&self, run: &RunId) -> Result<Vec<AttemptRow>, StoreError>;
    /// What the attempts of a run used.
    fn usage(&self, run: &RunId) -> Result<Vec<UsageRow>, StoreError>;
    /// The questions of a run, oldest first.
    fn questions(&self, run: &RunId) -> Result<Vec<QuestionRow>, StoreError>;
    /// The landings of a run, in the order in which they were queued.
    fn landings(&self, run: &RunId) -> Result<Vec<LandingRow>, StoreError>;
    /// The remembered answers that are still valid at `now`, by principal, method and key.
    fn remembered_answers(&self, now: Timestamp) -> Result<Vec<Answer>, StoreError>;
}

/// Writing, by whoever holds the lease. A call that fails has changed nothing.
pub trait Store: Reader {
    /// Appends a whole group or nothing. `after` is the number of the last event that the caller
    /// knows: when it is not the last one stored, the caller decided on an old state and gets
    /// [`StoreError::Conflict`]. Returns the number of the last event, which is durable by then.
    fn append(&mut self, lease: &Lease, after: Seq, batch: &Batch) -> Result<Seq, StoreError>;

    /// Takes the right to write. Every earlier lease is void from then on.
    fn acquire_lease(&mut self, holder: &str, now: Timestamp) -> Result<Lease, StoreError>;

    /// Deletes a run that has ended: its events and its rows.
    fn forget(&mut self, lease: &Lease, run: &RunId) -> Result<Forgotten, StoreError>;

    /// Deletes the remembered answers that are no longer valid at `now`; says how many.
    fn forget_answers(&mut self, lease: &Lease, now: Timestamp) -> Result<u64, StoreError>;

    /// Replaces all projections by rows that were computed anew from the log.
    fn replace_projections(&mut self, lease: &Lease, rows: &[Row]) -> Result<(), StoreError>;

    /// An independent way to read, for another thread. It sees what was committed before each call.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;
}
