//! Taking the state from the log: at the start, after a group that could not be stored, and a run
//! that is asked for again.

use cxo_core::{Repo, SharedStamped, Stamped};
use cxo_protocol::{Event, Problem, RunId};
use cxo_store::{RunFilter, Seq, StoreError, Stream};

use super::{HELD_RUNS, LOAD_AT_ONCE, Loop};
use crate::problems;
use crate::projection::Projector;
use crate::published::Touched;

impl Loop {
    /// Loads the open runs and the newest others from the log.
    pub(super) fn load(&mut self) -> Result<(), StoreError> {
        self.repo = Repo::default();
        self.projector = Projector::default();
        self.seq = self.parts.store.last_seq()?;
        let mut rows = self.parts.store.runs(RunFilter::Open)?;
        rows.extend(self.parts.store.runs(RunFilter::Newest { limit: HELD_RUNS })?);
        rows.sort_by(|a, b| a.run.cmp(&b.run));
        rows.dedup_by(|a, b| a.run == b.run);
        self.load_shared()?;
        for row in rows {
            self.load_run(&row.run)?;
        }
        self.repo.drain_changes();
        Ok(())
    }

    /// Loads what callers share.
    fn load_shared(&mut self) -> Result<(), StoreError> {
        let mut after = Seq(0);
        loop {
            let events = self.parts.store.read(&Stream::Repository, after, LOAD_AT_ONCE)?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            for stored in &events {
                match serde_json::from_str(&stored.body) {
                    Ok(event) => {
                        self.repo.evolve_shared(&SharedStamped { at: stored.ts, event });
                    }
                    Err(error) => {
                        tracing::error!(seq = %stored.seq, %error, "an event is not understood");
                    }
                }
            }
        }
        self.parts.published.put_shared(self.repo.shared().clone());
        Ok(())
    }

    pub(super) fn load_run(&mut self, run: &RunId) -> Result<(), StoreError> {
        let stream = Stream::Run(run.clone());
        let mut after = Seq(0);
        let mut pages = Vec::new();
        loop {
            let events = self.parts.store.read(&stream, after, LOAD_AT_ONCE)?;
            let Some(last) = events.last() else { break };
            after = last.seq;
            pages.push(events);
        }
        // From here on nothing can fail: a run that is held is held whole.
        for events in pages {
            for stored in &events {
                let event: Event = match serde_json::from_str(&stored.body) {
                    Ok(event) => event,
                    Err(error) => {
                        tracing::error!(%run, seq = %stored.seq, %error, "an event is not understood");
                        continue;
                    }
                };
                let stamped = Stamped { run: run.clone(), at: stored.ts, event };
                if let Err(error) = self.repo.evolve(&stamped) {
                    tracing::error!(%run, seq = %stored.seq, %error, "an event does not fit");
                }
                if let Some(run) = self.repo.run(run) {
                    self.projector.event(run, &stamped, &mut Vec::new());
                }
            }
        }
        if let Some(run) = self.repo.run(run) {
            self.parts.published.update(self.seq.0, std::iter::once((run, Touched::All)));
        }
        Ok(())
    }

    /// Has a run in memory that is in the log.
    pub(super) fn hold(&mut self, run: &RunId) -> Result<(), Problem> {
        if self.repo.run(run).is_none() {
            self.load_run(run).map_err(|error| problems::of_store(&error))?;
            self.apply_changes();
        }
        Ok(())
    }
}
