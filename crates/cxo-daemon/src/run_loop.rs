//! The run loop: how the program does it. One thread owns the state and the store.
//!
//! It takes everything that waits, decides one after the other in memory, appends the whole group
//! in one transaction, and only then lets anything out: snapshot, events, effects, answers. If the
//! append fails, the state is loaded from the store again and all of the group is refused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use cxo_core::{Change, Command, Fact, Rejected, Repo, Stamped};
use cxo_protocol::params::AgentsOnStop;
use cxo_protocol::{Code, EffectId, Event, Outcome, Problem, RunId, Timestamp};
use cxo_store::{Answer as StoredAnswer, Batch, Lease, NewEvent, Seq, Store, StoreError, Stream};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::door::Door;
use crate::effects::CarryOut;
use crate::feed::{Feed, told};
use crate::housekeeping::Housekeeping;
use crate::inbox::{Client, Message, Messages};
use crate::projection::{self, Projector, touched};
use crate::published::Published;
use crate::remembered::ANSWERS_KEPT_MS;
use crate::{fail_point, fresh, problems};

mod loading;

pub(crate) use loading::LoadError;

/// Commands that are decided as one group.
const GROUP: usize = 1024;

/// Ended runs that are shown without asking the store; older ones are loaded when asked for.
const HELD_RUNS: usize = 50;

/// How long to wait before a group that could not be stored is tried again.
const STORE_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Events that are read from the store at once when state is loaded.
const LOAD_AT_ONCE: usize = 16_384;

/// What the loop works on.
pub(crate) struct RunLoop {
    /// The log. Dropped last: it holds the right to write.
    pub(crate) store: Box<dyn Store>,
    /// That right.
    pub(crate) lease: Lease,
    /// What comes in.
    pub(crate) messages: Messages,
    /// What is decided before anything that comes in.
    pub(crate) first: Vec<Command>,
    /// Who carries effects out.
    pub(crate) executors: Box<dyn CarryOut>,
    /// What readers see.
    pub(crate) published: Arc<Published>,
    /// What subscribers hear.
    pub(crate) feed: Arc<Feed>,
    /// Who tidies up after runs.
    pub(crate) housekeeping: Housekeeping,
    /// Who is connected.
    pub(crate) door: Arc<Door>,
    /// How long the daemon stays when there is nothing to do; for ever if absent.
    pub(crate) idle_exit: Option<Duration>,
}

/// The state of the loop itself.
struct Loop {
    parts: RunLoop,
    repo: Repo,
    projector: Projector,
    seq: Seq,
    /// Reports that could not be stored; they are not lost but tried again.
    unstored: Vec<Command>,
    /// When a group that could not be stored is tried again.
    again_at: Option<Instant>,
    /// Whether the state in memory is not the one in the store, and could not be loaded from it.
    is_stale: bool,
    idle_since: Option<Instant>,
    /// When answers are next looked through for those whose time is over.
    forget_answers_at: Timestamp,
}

/// Where the answer to a client goes.
type Waiting = oneshot::Sender<Result<Value, Problem>>;

/// A command that was decided or refused, and waits for the commit: what it was refused for may be
/// of the same group.
#[derive(Debug)]
struct Decided {
    /// Who waits, and for what.
    answer: Option<(Waiting, Result<Value, Problem>)>,
    /// What a report was about; after the commit its effect is settled.
    settled: Option<EffectId>,
    /// The report itself, so that it can be tried again.
    again: Option<Command>,
}

impl RunLoop {
    /// Loads the state, makes what it wants go on, and runs until it is told to stop or there has
    /// been nothing to do for long enough. Answers what is to become of agents.
    pub(crate) fn run(self, ready: impl FnOnce()) -> Result<AgentsOnStop, LoadError> {
        let mut this = Loop {
            repo: Repo::default(),
            projector: Projector::default(),
            seq: Seq(0),
            unstored: Vec::new(),
            again_at: None,
            is_stale: false,
            idle_since: None,
            forget_answers_at: Timestamp(0),
            parts: self,
        };
        this.load()?;
        let first = std::mem::take(&mut this.parts.first);
        this.handle(first.into_iter().map(|command| (command, None)).collect());
        this.reconcile();
        ready();
        Ok(this.turn())
    }
}

impl Loop {
    fn turn(&mut self) -> AgentsOnStop {
        loop {
            let Some(first) = self.next_message() else { return AgentsOnStop::GoOn };
            let mut group = Vec::new();
            let mut next = first;
            while let Some(message) = next.take() {
                match message {
                    Message::Stop(agents) => {
                        self.handle(group);
                        return agents;
                    }
                    Message::Look => {}
                    Message::Hold { run, answer } => {
                        let held = self.hold(&run).map(|()| self.seq.0);
                        let _ = answer.send(held);
                    }
                    Message::Command { command, client } => group.push((command, client)),
                }
                if group.len() < GROUP {
                    next = self.parts.messages.try_recv();
                }
            }
            if self.repo.next_wakeup().is_some_and(|at| at <= fresh::now()) {
                // Who keeps asking does not keep time from passing.
                group.push((Command::Tick, None));
            }
            self.handle(group);
        }
    }

    /// Waits for a message; `None` to leave. A wait that ends by time gives a tick.
    #[expect(clippy::option_option, reason = "a message, no message but work, or the end")]
    fn next_message(&mut self) -> Option<Option<Message>> {
        let tick = || Some(Some(Message::Command { command: Command::Tick, client: None }));
        if let Some(message) = self.parts.messages.try_recv() {
            return Some(Some(message));
        }
        let wait = self.wait();
        let received = match wait {
            Some(wait) => self.parts.messages.recv_timeout(wait),
            None => self.parts.messages.recv().ok_or(RecvTimeoutError::Disconnected),
        };
        match received {
            Ok(message) => Some(Some(message)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) if self.is_left_alone() => None,
            Err(RecvTimeoutError::Timeout) => tick(),
        }
    }

    fn wait(&mut self) -> Option<Duration> {
        if let Some(at) = self.again_at {
            // What is due by then would not be stored either.
            return Some(at.saturating_duration_since(Instant::now()));
        }
        let now = fresh::now();
        let until_due =
            self.repo.next_wakeup().map(|at| Duration::from_millis(at.millis_since(now).max(1)));
        let leave = self.parts.idle_exit.filter(|_| self.is_idle()).map(|limit| {
            let since = *self.idle_since.get_or_insert_with(Instant::now);
            limit.saturating_sub(since.elapsed())
        });
        if leave.is_none() {
            self.idle_since = None;
        }
        [until_due, leave].into_iter().flatten().min()
    }

    fn is_idle(&self) -> bool {
        self.parts.door.is_empty()
            && self.unstored.is_empty()
            && self.again_at.is_none()
            && self.repo.wanted().next().is_none()
            && self.repo.next_wakeup().is_none()
            && self.parts.executors.count() == 0
    }

    /// Whether there has been nothing to do for long enough and nobody is there any more. From
    /// then on nobody is let in.
    fn is_left_alone(&self) -> bool {
        let (Some(limit), Some(since)) = (self.parts.idle_exit, self.idle_since) else {
            return false;
        };
        self.is_idle() && since.elapsed() >= limit && self.parts.door.close_if_empty()
    }

    /// Decides a group, stores it, and lets it out.
    fn handle(&mut self, group: Vec<(Command, Option<Box<Client>>)>) {
        if self.is_stale && !self.reload() {
            let answers = group.into_iter().map(|(command, client)| Decided {
                again: client.is_none().then_some(command),
                settled: None,
                answer: client.map(|client| (client.answer, Ok(Value::Null))),
            });
            self.put_off(&unreadable(), answers.collect());
            return;
        }
        let again = std::mem::take(&mut self.unstored).into_iter().map(|command| (command, None));
        let now = fresh::now();
        let mut events = Vec::new();
        let mut answers = Vec::new();
        let mut decided = Vec::new();
        for (command, client) in again.chain(group) {
            let done = self.decide(&command, now);
            if let Err(problem) = &done {
                tell_refused(&command, problem);
            }
            let answer = client.map(|client| {
                let Client { answer, reply, remember } = *client;
                let said = done.as_ref().map_err(Problem::clone).map(|_| {
                    let value = reply(&self.repo);
                    answers.extend(remember.map(|kept| kept.with(&value, now)));
                    value
                });
                (answer, said)
            });
            events.extend(done.unwrap_or_default());
            let settled = if let Command::Finished { effect, .. } = &command {
                Some(effect.clone())
            } else {
                None
            };
            let again = answer.is_none().then_some(command);
            decided.push(Decided { answer, settled, again });
        }
        if decided.is_empty() {
            return;
        }
        if let Some(fault) = self.repo.fault() {
            tracing::error!(%fault, "a fault of the orchestrator: an event does not fit");
        }
        match self.store(&events, answers, now) {
            Ok(committed) => {
                self.again_at = None;
                self.let_out(&committed, decided);
            }
            Err(error) => self.take_back(&error, decided),
        }
    }

    fn decide(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Fact>, Problem> {
        if let Some(run) = command.run()
            && self.repo.run(&run).is_none()
            && !matches!(command, Command::Start { .. })
        {
            // What it wants is started with what the group wants: after the commit.
            self.load_run(&run).map_err(|error| problems::of_load(&error))?;
        }
        let decided = self.repo.handle(command, now);
        if let Some(fault) = self.repo.fault() {
            tracing::error!(%fault, "a fault of the core: an event that it decided does not fit");
        }
        decided.map_err(|rejected| {
            if matches!(rejected, Rejected::NotWanted { .. }) {
                tracing::debug!(%rejected, "a late report");
            }
            problems::of_rejected(&rejected)
        })
    }

    /// Appends the events of a group with the rows that they change.
    fn store(
        &mut self,
        facts: &[Fact],
        answers: Vec<StoredAnswer>,
        now: Timestamp,
    ) -> Result<Vec<(u64, Fact)>, StoreError> {
        if facts.is_empty() && answers.is_empty() {
            return Ok(Vec::new());
        }
        self.forget_answers(&answers, now)?;
        let mut batch = Batch { answers, ..Batch::default() };
        let events = of_runs(facts);
        let runs: BTreeSet<&RunId> = events.iter().map(|stamped| &stamped.run).collect();
        batch.events = facts.iter().map(new_event).collect();
        for run in runs {
            if let Some(run) = self.repo.run(run) {
                batch.rows.extend(self.projector.rows(run, &events, &touched(run, &events)));
            }
        }
        batch.rows.extend(projection::graph::rows(&self.repo.shared().graph, facts));
        let first = self.seq.0 + 1;
        fail_point::reached("append.before");
        self.seq = self.parts.store.append(&self.parts.lease, self.seq, &batch)?;
        fail_point::reached("append.after");
        Ok((first..).zip(facts.iter().cloned()).collect())
    }

    /// What was committed goes out: to readers, subscribers, executors, and whoever asked.
    fn let_out(&mut self, committed: &[(u64, Fact)], decided: Vec<Decided>) {
        let stamped: Vec<Stamped> =
            committed.iter().filter_map(|(_, fact)| fact.of_run().cloned()).collect();
        self.publish(&stamped);
        let shared = committed.iter().filter_map(|(_, fact)| fact.of_shared());
        self.parts.published.take_shared(shared);
        self.push(committed);
        self.apply_changes();
        for stamped in stamped.iter().filter(|s| matches!(s.event, Event::RunEnded { .. })) {
            self.parts.housekeeping.run_ended(&stamped.run);
        }
        let settled: Vec<EffectId> =
            decided.iter().filter_map(|decided| decided.settled.clone()).collect();
        self.parts.executors.settled(&settled);
        for decided in decided {
            if let Some((waiting, answer)) = decided.answer {
                let _ = waiting.send(answer);
            }
        }
    }

    /// Lets go of answers whose time is over, with a group that keeps new ones: an idle daemon is
    /// not woken for that.
    fn forget_answers(&mut self, new: &[StoredAnswer], now: Timestamp) -> Result<(), StoreError> {
        if !new.is_empty() && self.forget_answers_at <= now {
            self.parts.store.forget_answers(&self.parts.lease, now)?;
            self.forget_answers_at = now.plus_millis(ANSWERS_KEPT_MS);
        }
        Ok(())
    }

    fn publish(&self, events: &[Stamped]) {
        let mut runs: Vec<&RunId> = events.iter().map(|stamped| &stamped.run).collect();
        runs.sort_unstable();
        runs.dedup();
        let changed = runs
            .into_iter()
            .filter_map(|run| self.repo.run(run))
            .map(|run| (run, touched(run, events)));
        self.parts.published.update(self.seq.0, changed);
    }

    fn push(&self, committed: &[(u64, Fact)]) {
        self.parts.feed.commit(self.seq.0, || {
            committed.iter().map(|(seq, fact)| told(*seq, fact, self.repo.shared())).collect()
        });
    }

    /// Makes what is wanted now go on, and ends what is not.
    fn apply_changes(&mut self) {
        for change in self.repo.drain_changes() {
            match change {
                Change::Start(id) => {
                    self.start(&id);
                }
                Change::Stop(id) => self.parts.executors.stop(&id),
            }
        }
    }

    /// Starts a wanted effect. One that cannot even begin is reported like any other.
    fn start(&mut self, id: &EffectId) {
        let Some(effect) = self.repo.effect(id) else { return };
        if let Err(outcome) = self.parts.executors.start(effect) {
            // Not by the inbox, which only this thread empties.
            self.unstored.push(Command::Finished { effect: id.clone(), outcome });
            self.again_at = Some(Instant::now() + STORE_AGAIN_AFTER);
        }
    }

    /// The group was not stored: nothing of it happened.
    fn take_back(&mut self, error: &StoreError, decided: Vec<Decided>) {
        tracing::error!(%error, "a group could not be stored");
        self.put_off(&problems::of_store(error), decided);
        self.reload();
    }

    /// Refuses what clients asked, and keeps what was reported for another try.
    fn put_off(&mut self, problem: &Problem, decided: Vec<Decided>) {
        for decided in decided {
            if let Some((waiting, _)) = decided.answer {
                let _ = waiting.send(Err(problem.clone()));
            }
            self.unstored.extend(decided.again.filter(|command| *command != Command::Tick));
        }
        self.again_at = Some(Instant::now() + STORE_AGAIN_AFTER);
    }

    /// Takes the state from the store again; says whether that could be done.
    fn reload(&mut self) -> bool {
        let loaded = self.load();
        if let Err(error) = &loaded {
            tracing::error!(%error, "the state could not be read again");
        }
        self.is_stale = loaded.is_err();
        !self.is_stale
    }

    /// After a start: what is wanted goes on, what goes on and is not wanted is ended.
    fn reconcile(&mut self) {
        for run in self.repo.runs().filter(|run| run.is_ended()) {
            self.parts.housekeeping.run_ended(&run.id);
        }
        let wanted: Vec<EffectId> = self.repo.wanted().cloned().collect();
        self.parts.executors.take_over(&wanted);
        for id in wanted {
            self.start(&id);
        }
    }
}

fn unreadable() -> Problem {
    Problem::new(Code::StateUnusable, "the state cannot be read")
        .because("the daemon's log says why")
        .keeping("the state is as it was")
        .try_next("cxo doctor")
}

/// A report that nobody wants is settled all the same.
fn tell_refused(command: &Command, problem: &Problem) {
    if let Command::Finished { effect, outcome } = command
        && !matches!(outcome.as_ref(), Outcome::Broken { .. })
    {
        tracing::info!(%effect, reason = problem.message, "a report was not taken");
    }
}

fn of_runs(facts: &[Fact]) -> Vec<Stamped> {
    facts.iter().filter_map(|fact| fact.of_run().cloned()).collect()
}

fn new_event(fact: &Fact) -> NewEvent {
    match fact {
        Fact::Run(stamped) => NewEvent {
            stream: Stream::Run(stamped.run.clone()),
            ts: stamped.at,
            kind: stamped.event.kind().to_owned(),
            body: serde_json::to_string(&stamped.event).unwrap_or_default(),
        },
        Fact::Shared(stamped) => NewEvent {
            stream: Stream::Repository,
            ts: stamped.at,
            kind: stamped.event.kind().to_owned(),
            body: serde_json::to_string(&stamped.event).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests;
