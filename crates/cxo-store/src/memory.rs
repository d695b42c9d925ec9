//! The store in memory, for tests and for trying things out. It behaves as the others do, only that
//! nothing outlives the process.
//!
//! It must not know SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cxo_protocol::rows::{AttemptRow, LandingRow, QuestionRow, Row, RunRow, TaskRow, UsageRow};
use cxo_protocol::{AttemptId, LandingId, QuestionId, RunId, TaskId, Timestamp};

use crate::event::check_number;
use crate::sqlite::upsert_of;
use crate::{
    Answer, Batch, Forgotten, Lease, MAX_READ_EVENTS, Reader, RunFilter, Seq, Store, StoreError,
    StoredEvent, Stream,
};

/// A store that is gone with the process.
#[derive(Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

#[derive(Debug, Default)]
struct State {
    last: Seq,
    epoch: u64,
    holder: String,
    events: BTreeMap<Seq, StoredEvent>,
    streams: BTreeMap<Stream, BTreeSet<Seq>>,
    answers: BTreeMap<(String, String, String), Answer>,
    rows: Rows,
}

#[derive(Debug, Default)]
struct Rows {
    runs: BTreeMap<RunId, RunRow>,
    tasks: BTreeMap<(RunId, TaskId), TaskRow>,
    attempts: BTreeMap<(RunId, AttemptId), AttemptRow>,
    usage: BTreeMap<(RunId, AttemptId), UsageRow>,
    questions: BTreeMap<(RunId, QuestionId), QuestionRow>,
    landings: BTreeMap<(RunId, LandingId), LandingRow>,
}

impl Rows {
    fn put(&mut self, row: Row) {
        match row {
            Row::Run(row) => drop(self.runs.insert(row.run.clone(), row)),
            Row::Task(row) => drop(self.tasks.insert((row.run.clone(), row.task.clone()), row)),
            Row::Attempt(row) => {
                drop(self.attempts.insert((row.run.clone(), row.attempt.clone()), row));
            }
            Row::Usage(row) => {
                drop(self.usage.insert((row.run.clone(), row.attempt.clone()), row));
            }
            Row::Question(row) => {
                drop(self.questions.insert((row.run.clone(), row.question.clone()), row));
            }
            Row::Landing(row) => {
                drop(self.landings.insert((row.run.clone(), row.landing.clone()), row));
            }
            // These are read by SQL only, which this store does not have.
            Row::Node(_) | Row::Checkpoint(_) => {}
        }
    }

    fn forget(&mut self, run: &RunId) {
        self.runs.remove(run);
        self.tasks.retain(|_, row| &row.run != run);
        self.attempts.retain(|_, row| &row.run != run);
        self.usage.retain(|_, row| &row.run != run);
        self.questions.retain(|_, row| &row.run != run);
        self.landings.retain(|_, row| &row.run != run);
    }
}

/// The rows that `keep` wants, in the order of `key`.
fn sorted<'a, T: Clone + 'a, K: Ord>(
    rows: impl Iterator<Item = &'a T>,
    keep: impl Fn(&T) -> bool,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut found: Vec<T> = rows.filter(|row| keep(row)).cloned().collect();
    found.sort_by_key(key);
    found
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is made after its last check, so a state is whole even if a thread died.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check_lease(&self, lease: &Lease) -> Result<(), StoreError> {
        if lease.epoch() == self.epoch {
            return Ok(());
        }
        let (epoch, current, holder) = (lease.epoch(), self.epoch, self.holder.clone());
        Err(StoreError::LeaseLost { epoch, current, holder })
    }
}

impl Reader for MemoryStore {
    fn read(
        &self,
        stream: &Stream,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        use std::ops::Bound::{Excluded, Unbounded};
        let limit = limit.min(MAX_READ_EVENTS);
        let state = self.state();
        let range = (Excluded(after), Unbounded);
        if *stream == Stream::All {
            return Ok(state.events.range(range).take(limit).map(|(_, e)| e.clone()).collect());
        }
        let places = state.streams.get(stream).into_iter().flat_map(|seqs| seqs.range(range));
        Ok(places.take(limit).filter_map(|seq| state.events.get(seq)).cloned().collect())
    }

    fn last_seq(&self) -> Result<Seq, StoreError> {
        Ok(self.state().last)
    }

    fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let newest = |row: &RunRow| std::cmp::Reverse((row.created_at, row.run.clone()));
        let state = self.state();
        let runs = state.rows.runs.values();
        Ok(match filter {
            RunFilter::Open => sorted(runs, |row| row.ended_at.is_none(), newest),
            RunFilter::Newest { limit } => {
                let mut found = sorted(runs, |_| true, newest);
                found.truncate(limit);
                found
            }
        })
    }

    fn run(&self, run: &RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.state().rows.runs.get(run).cloned())
    }

    fn tasks(&self, run: &RunId) -> Result<Vec<TaskRow>, StoreError> {
        let key = |row: &TaskRow| (row.position, row.task.clone());
        Ok(sorted(self.state().rows.tasks.values(), |row| &row.run == run, key))
    }

    fn attempts(&self, run: &RunId) -> Result<Vec<AttemptRow>, StoreError> {
        let key = |row: &AttemptRow| (row.task.clone(), row.number, row.attempt.clone());
        Ok(sorted(self.state().rows.attempts.values(), |row| &row.run == run, key))
    }

    fn usage(&self, run: &RunId) -> Result<Vec<UsageRow>, StoreError> {
        let key = |row: &UsageRow| row.attempt.clone();
        Ok(sorted(self.state().rows.usage.values(), |row| &row.run == run, key))
    }

    fn questions(&self, run: &RunId) -> Result<Vec<QuestionRow>, StoreError> {
        let key = |row: &QuestionRow| (row.asked_at, row.question.clone());
        Ok(sorted(self.state().rows.questions.values(), |row| &row.run == run, key))
    }

    fn landings(&self, run: &RunId) -> Result<Vec<LandingRow>, StoreError> {
        let key = |row: &LandingRow| (row.queued_at, row.landing.clone());
        Ok(sorted(self.state().rows.landings.values(), |row| &row.run == run, key))
    }

    fn remembered_answers(&self, now: Timestamp) -> Result<Vec<Answer>, StoreError> {
        check_number("answers.expires_at", now.0)?;
        let state = self.state();
        Ok(state.answers.values().filter(|answer| answer.expires_at > now).cloned().collect())
    }
}

impl Store for MemoryStore {
    fn append(&mut self, lease: &Lease, after: Seq, batch: &Batch) -> Result<Seq, StoreError> {
        batch.check()?;
        let end = after.0.saturating_add(batch.events.len() as u64);
        check_number("events.seq", end)?;
        let mut state = self.state();
        state.check_lease(lease)?;
        if after != state.last {
            return Err(StoreError::Conflict { after, last: state.last });
        }
        batch.rows.iter().try_for_each(|row| upsert_of(row).map(drop))?;
        for (place, event) in (after.0 + 1..).zip(&batch.events) {
            let seq = Seq(place);
            let stream = event.stream.clone();
            state.streams.entry(stream.clone()).or_default().insert(seq);
            let (ts, kind, body) = (event.ts, event.kind.clone(), event.body.clone());
            state.events.insert(seq, StoredEvent { seq, stream, ts, kind, body });
        }
        batch.rows.iter().cloned().for_each(|row| state.rows.put(row));
        for answer in batch.answers.iter().cloned() {
            let key = (answer.principal.clone(), answer.method.clone(), answer.idem_key.clone());
            state.answers.insert(key, answer);
        }
        state.last = Seq(end);
        Ok(Seq(end))
    }

    fn acquire_lease(&mut self, holder: &str, now: Timestamp) -> Result<Lease, StoreError> {
        check_number("store.lease_taken_at", now.0)?;
        let mut state = self.state();
        state.epoch += 1;
        holder.clone_into(&mut state.holder);
        Ok(Lease::new(state.epoch))
    }

    fn forget(&mut self, lease: &Lease, run: &RunId) -> Result<Forgotten, StoreError> {
        self.state().check_lease(lease)?;
        match self.run(run)? {
            None => return Err(StoreError::UnknownRun { run: run.clone() }),
            Some(row) if row.ended_at.is_none() => {
                return Err(StoreError::RunOpen { run: run.clone() });
            }
            Some(_) => {}
        }
        let logs = self.attempts(run)?.into_iter().filter_map(|attempt| attempt.log).collect();
        let mut state = self.state();
        let gone = state.streams.remove(&Stream::Run(run.clone())).unwrap_or_default();
        for seq in &gone {
            state.events.remove(seq);
        }
        state.rows.forget(run);
        Ok(Forgotten { events: gone.len() as u64, logs })
    }

    fn forget_answers(&mut self, lease: &Lease, now: Timestamp) -> Result<u64, StoreError> {
        check_number("answers.expires_at", now.0)?;
        let mut state = self.state();
        state.check_lease(lease)?;
        let before = state.answers.len();
        state.answers.retain(|_, answer| answer.expires_at > now);
        Ok((before - state.answers.len()) as u64)
    }

    fn replace_projections(&mut self, lease: &Lease, rows: &[Row]) -> Result<(), StoreError> {
        let mut state = self.state();
        state.check_lease(lease)?;
        rows.iter().try_for_each(|row| upsert_of(row).map(drop))?;
        state.rows = Rows::default();
        rows.iter().cloned().for_each(|row| state.rows.put(row));
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(Self { shared: Arc::clone(&self.shared) }))
    }
}
