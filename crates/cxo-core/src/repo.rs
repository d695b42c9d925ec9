//! The core as the shell sees it: commands and time in, events out; what ought to be going on.

use std::collections::BTreeMap;

use cxo_protocol::{Effect, EffectId, Event, RunId, SharedEvent, Timestamp};

use crate::command::{Command, Rejected};
use crate::decide;
use crate::evolve::IllegalStep;
use crate::run::{Phase, Run};
use crate::shared::{Shared, SharedStamped};

/// An event with its run and its time, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The run whose log it belongs to.
    pub run: RunId,
    /// When it was decided.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

/// A fact, of a run or of what is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Of a run.
    Run(Stamped),
    /// Of what is shared.
    Shared(SharedStamped),
}

impl Fact {
    /// The fact, if it is of a run.
    pub fn of_run(&self) -> Option<&Stamped> {
        match self {
            Self::Run(stamped) => Some(stamped),
            Self::Shared(_) => None,
        }
    }

    /// The fact, if it is of what is shared.
    pub fn of_shared(&self) -> Option<&SharedStamped> {
        match self {
            Self::Run(_) => None,
            Self::Shared(stamped) => Some(stamped),
        }
    }
}

/// A change of what ought to be going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This effect is wanted now.
    Start(EffectId),
    /// This effect is not wanted any more.
    Stop(EffectId),
}

/// All runs of a repository that are held in memory, and what their callers share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repo {
    runs: BTreeMap<RunId, Run>,
    shared: Shared,
    changes: Vec<Change>,
    fault: Option<IllegalStep>,
}

impl Repo {
    /// Decides a command and takes its events in. The events are one group: the shell stores all
    /// of them before anything leaves, or throws this state away and loads it anew.
    pub fn handle(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Fact>, Rejected> {
        let mut group = Vec::new();
        match command {
            Command::Tick => self.tick(now, &mut group),
            Command::LeaveStopped => self.leave_stopped(now, &mut group),
            Command::Shared(command) => {
                let decided = self.shared.decide(command, now)?;
                self.take_shared(decided, now, &mut group);
            }
            Command::Submit { task, submission, run, options, plan } => {
                let submitted = self.shared.submit(task, submission, run)?;
                let started = decide::start(options, Some(plan))?;
                if self.runs.contains_key(run) {
                    return Err(Rejected::RunExists { run: run.clone() });
                }
                self.take_shared(submitted, now, &mut group);
                self.take(run, started, now, &mut group);
            }
            Command::CancelSubmitted { task } => {
                let run = self.shared.submitted.open_run(task)?.clone();
                self.cancel(&run, now, &mut group)?;
            }
            Command::TokensSeen { run, tokens } => {
                self.see_tokens(run, *tokens, now, &mut group)?;
            }
            Command::Start { run, options, plan } => {
                if self.runs.contains_key(run) {
                    return Err(Rejected::RunExists { run: run.clone() });
                }
                let started = decide::start(options, plan.as_ref())?;
                self.take(run, started, now, &mut group);
            }
            Command::Resume { run, .. } | Command::Retry { run, .. } => {
                // What was set aside for a submitted task is settled: there is nothing to go on with.
                if let Some(task) = self.shared.submitted.of_run(run) {
                    self.shared.submitted.open_run(task)?;
                }
                self.handle_run(run, command, now, &mut group)?;
            }
            Command::EditPlan { run, .. }
            | Command::ApproveAhead { run }
            | Command::Cancel { run }
            | Command::Skip { run, .. }
            | Command::CancelTask { run, .. }
            | Command::Answer { run, .. } => self.handle_run(run, command, now, &mut group)?,
            Command::ThreadStarted { effect, .. } | Command::Finished { effect, .. } => {
                self.handle_run(&effect.run(), command, now, &mut group)?;
            }
        }
        Ok(group)
    }

    fn handle_run(
        &mut self,
        id: &RunId,
        command: &Command,
        now: Timestamp,
        group: &mut Vec<Fact>,
    ) -> Result<(), Rejected> {
        let run = self.runs.get(id).ok_or_else(|| Rejected::NoSuchRun { run: id.clone() })?;
        let decided = decide::decide(run, command, now)?;
        self.take(id, decided, now, group);
        Ok(())
    }

    fn cancel(
        &mut self,
        run: &RunId,
        now: Timestamp,
        group: &mut Vec<Fact>,
    ) -> Result<(), Rejected> {
        self.handle_run(run, &Command::Cancel { run: run.clone() }, now, group)
    }

    /// Stops a submitted task that met its limit. One whose result is being written is as good as
    /// done, and cannot be stopped.
    fn see_tokens(
        &mut self,
        id: &RunId,
        of_attempt: u64,
        now: Timestamp,
        group: &mut Vec<Fact>,
    ) -> Result<(), Rejected> {
        let Some(run) = self.runs.get(id) else { return Ok(()) };
        let tokens = run.used.total_tokens().saturating_add(of_attempt);
        let Some(exceeded) = self.shared.after_tokens(id, tokens) else { return Ok(()) };
        let cancelled = decide::decide(run, &Command::Cancel { run: id.clone() }, now)?;
        self.take_shared(vec![exceeded], now, group);
        self.take(id, cancelled, now, group);
        Ok(())
    }

    /// A daemon began anew: what agents used that were stopped before is not heard of any more.
    fn leave_stopped(&mut self, now: Timestamp, group: &mut Vec<Fact>) {
        let left: Vec<RunId> = self
            .runs
            .values()
            .filter(|run| run.has_uncounted())
            .map(|run| run.id.clone())
            .collect();
        for id in left {
            let decided = self
                .runs
                .get(&id)
                .and_then(|run| decide::decide(run, &Command::LeaveStopped, now).ok())
                .unwrap_or_default();
            self.take(&id, decided, now, group);
        }
        // Of runs that are not held nothing else is known.
        let settled = self.shared.settle_ended();
        self.take_shared(settled, now, group);
    }

    fn tick(&mut self, now: Timestamp, group: &mut Vec<Fact>) {
        let due: Vec<RunId> = self
            .runs
            .values()
            .filter(|run| run.next_wakeup().is_some_and(|at| at <= now))
            .map(|run| run.id.clone())
            .collect();
        for id in due {
            let decided = self
                .runs
                .get(&id)
                .and_then(|run| decide::decide(run, &Command::Tick, now).ok())
                .unwrap_or_default();
            self.take(&id, decided, now, group);
        }
        let due = self.shared.due(now);
        self.take_shared(due, now, group);
    }

    fn take(&mut self, id: &RunId, decided: Vec<Event>, now: Timestamp, group: &mut Vec<Fact>) {
        let mut events = decided;
        loop {
            for event in events {
                self.take_one(id, event, now, group);
            }
            events = self.follow_up(id, now, group);
            // An event that did not fit would be called for again, for ever.
            if events.is_empty() || self.fault.is_some() {
                break;
            }
        }
        let told = self.runs.get(id).map(|run| self.shared.after_run(run)).unwrap_or_default();
        self.take_shared(told, now, group);
    }

    /// What the run calls for next. No further agent starts on a submitted task whose tokens are
    /// used up: its run ends instead.
    fn follow_up(&mut self, id: &RunId, now: Timestamp, group: &mut Vec<Fact>) -> Vec<Event> {
        let Some(run) = self.runs.get(id) else { return Vec::new() };
        let next = decide::follow_up(run);
        if next.iter().any(|event| matches!(event, Event::AttemptStarted { .. }))
            && let Some(exceeded) = self.shared.after_tokens(id, run.used.total_tokens())
            && let Ok(cancelled) = decide::decide(run, &Command::Cancel { run: id.clone() }, now)
        {
            self.take_shared(vec![exceeded], now, group);
            return cancelled;
        }
        next
    }

    fn take_shared(&mut self, decided: Vec<SharedEvent>, now: Timestamp, group: &mut Vec<Fact>) {
        for event in decided {
            self.shared.evolve(&event, now);
            group.push(Fact::Shared(SharedStamped { at: now, event }));
        }
    }

    fn take_one(&mut self, id: &RunId, event: Event, now: Timestamp, group: &mut Vec<Fact>) {
        let stamped = Stamped { run: id.clone(), at: now, event };
        // The core decided this event on this very state; one that does not fit is a fault of the
        // core.
        if let Err(fault) = self.evolve(&stamped) {
            self.fault.get_or_insert(fault);
        }
        group.push(Fact::Run(stamped));
    }

    /// The first event that was decided here and did not fit the state it was decided on: a fault
    /// of the core, for the daemon's log and for tests. `None`, always.
    pub fn fault(&self) -> Option<&IllegalStep> {
        self.fault.as_ref()
    }

    /// Takes in one event, from a decision or from a log.
    pub fn evolve(&mut self, stamped: &Stamped) -> Result<(), IllegalStep> {
        if let Event::RunStarted { options, .. } = &stamped.event {
            let run = Run::new(stamped.run.clone(), options.clone(), stamped.at);
            self.runs.entry(stamped.run.clone()).or_insert(run);
        }
        let Some(run) = self.runs.get_mut(&stamped.run) else {
            return Err(IllegalStep {
                event: stamped.event.kind(),
                task: stamped.event.task().cloned(),
                state: "no such run".to_owned(),
            });
        };
        let done = run.evolve(&stamped.event, stamped.at);
        self.changes.append(&mut run.sets.changes);
        done
    }

    /// Takes in one event about what is shared, from a log.
    pub fn evolve_shared(&mut self, stamped: &SharedStamped) {
        self.shared.evolve(&stamped.event, stamped.at);
    }

    /// What all callers share.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// How the wanted effects changed since this was last asked.
    pub fn drain_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Every effect that ought to be going on.
    pub fn wanted(&self) -> impl Iterator<Item = &EffectId> {
        self.runs.values().flat_map(Run::wanted)
    }

    /// A wanted effect with all that its executor needs.
    pub fn effect(&self, id: &EffectId) -> Option<Effect> {
        self.runs.get(&id.run())?.effect(id)
    }

    /// When time alone changes something.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        let of_runs = self.runs.values().filter_map(Run::next_wakeup);
        of_runs.chain(self.shared.next_wakeup()).min()
    }

    /// A run that is held.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.runs.get(id)
    }

    /// All runs that are held, by id.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    /// Forgets a run whose log could not be taken in as a whole, with all that it wants.
    pub fn set_aside(&mut self, id: &RunId) {
        self.runs.remove(id);
        self.changes.retain(|change| {
            let (Change::Start(effect) | Change::Stop(effect)) = change;
            effect.run() != *id
        });
    }

    /// Lets go of a run that is over; its log stays. It can be taken in again from there.
    pub fn release(&mut self, id: &RunId) -> Option<Run> {
        if self.runs.get(id).is_some_and(Run::is_ended) { self.runs.remove(id) } else { None }
    }
}

impl Run {
    /// When time alone changes something in this run.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        if let Phase::PlanParked { until, .. } = &self.phase {
            return Some(*until);
        }
        self.sets.parked.first().map(|(until, _)| *until)
    }
}
