//! Taking the state from the log: at the start, after a group that could not be stored, and a run
//! that is asked for again.

use std::fmt::Display;

use cxo_core::{Repo, SharedStamped, Stamped};
use cxo_protocol::{Event, Problem, RunId};
use cxo_store::{RunFilter, Seq, StoreError, Stream};

use super::{HELD_RUNS, LOAD_AT_ONCE, Loop};
use crate::problems;
use crate::projection::Projector;
use crate::published::Touched;

/// Why what is in the log is not in memory.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The store could not read it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store read it, but it makes no sense.
    #[error(
        "event {seq} of {} cannot be taken in: {why}; other runs can still be used",
        .run.as_ref().map_or("the repository", RunId::as_str)
    )]
    Event {
        /// The run; absent if it is of what callers share.
        run: Option<RunId>,
        /// The event.
        seq: Seq,
        /// What is wrong with it.
        why: String,
    },
}

impl LoadError {
    /// Whether only the run that was being read is concerned.
    fn is_of_one_run(&self) -> bool {
        matches!(self, Self::Event { run: Some(_), .. } | Self::Store(StoreError::Missing { .. }))
    }
}

impl Loop {
    /// Loads the open runs and the newest others from the log. A run whose log is damaged is left
    /// where it is: whoever asks for it is told why, and the others go on.
    pub(super) fn load(&mut self) -> Result<(), LoadError> {
        self.repo = Repo::default();
        self.projector = Projector::default();
        self.seq = self.parts.store.last_seq()?;
        let mut rows = self.parts.store.runs(RunFilter::Open)?;
        rows.extend(self.parts.store.runs(RunFilter::Newest { limit: HELD_RUNS })?);
        rows.sort_by(|a, b| a.run.cmp(&b.run));
        rows.dedup_by(|a, b| a.run == b.run);
        self.load_shared()?;
        for row in rows {
            match self.load_run(&row.run) {
                Err(error) if error.is_of_one_run() => {
                    tracing::error!(run = %row.run, %error, "a run cannot be used");
                }
                loaded => loaded?,
            }
        }
        self.repo.drain_changes();
        Ok(())
    }

    /// Loads what callers share.
    fn load_shared(&mut self) -> Result<(), LoadError> {
        let mut after = Seq(0);
        loop {
            let events = self.parts.store.read(&Stream::Repository, after, LOAD_AT_ONCE)?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            for stored in &events {
                let event = serde_json::from_str(&stored.body).map_err(|error| {
                    LoadError::Event { run: None, seq: stored.seq, why: error.to_string() }
                })?;
                self.repo.evolve_shared(&SharedStamped { at: stored.ts, event });
            }
        }
        self.parts.published.put_shared(self.repo.shared().clone());
        Ok(())
    }

    /// Takes a run in: all of it or, if there is an event that cannot be, nothing.
    pub(super) fn load_run(&mut self, run: &RunId) -> Result<(), LoadError> {
        let taken = self.take_in(run);
        if taken.is_err() {
            self.repo.set_aside(run);
        } else if let Some(run) = self.repo.run(run) {
            self.parts.published.update(self.seq.0, std::iter::once((run, Touched::All)));
        }
        taken
    }

    fn take_in(&mut self, run: &RunId) -> Result<(), LoadError> {
        let stream = Stream::Run(run.clone());
        let mut after = Seq(0);
        loop {
            let bad = |seq, why| LoadError::Event { run: Some(run.clone()), seq, why };
            let read = self.parts.store.read(&stream, after, LOAD_AT_ONCE);
            let events = read.map_err(|error| {
                if let StoreError::Corrupt { seq } = error {
                    bad(seq, "its checksum does not match".to_owned())
                } else {
                    error.into()
                }
            })?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.seq;
            for stored in &events {
                let bad = |why: &dyn Display| bad(stored.seq, why.to_string());
                let event: Event = serde_json::from_str(&stored.body).map_err(|e| bad(&e))?;
                let stamped = Stamped { run: run.clone(), at: stored.ts, event };
                self.repo.evolve(&stamped).map_err(|e| bad(&e))?;
                if let Some(run) = self.repo.run(run) {
                    self.projector.event(run, &stamped, &mut Vec::new());
                }
            }
        }
    }

    /// Has a run in memory that is in the log.
    pub(super) fn hold(&mut self, run: &RunId) -> Result<(), Problem> {
        if self.repo.run(run).is_none() {
            self.load_run(run).map_err(|error| problems::of_load(&error))?;
            self.apply_changes();
        }
        Ok(())
    }
}
