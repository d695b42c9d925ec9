//! Effect executors: what ought to be going on is made to go on.
//!
//! Each wanted effect has a thread that carries it out from its beginning to its report. It first
//! looks for what the effect has already done (a ref, a commit, a process of that id), so that it
//! makes no difference whether it starts, goes on after a crash, or is asked twice.

mod agent;
mod attempt;
mod base;
mod cached;
mod check;
mod context;
mod hands;
mod landing;
mod launch;
mod plan;
mod resolve;
mod snapshot;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cxo_protocol::{Action, Effect, EffectId, Outcome, RedBase, RunId, TaskId, Usage};

use self::check::Until;
use self::hands::Hands;
use crate::fail_point;
use crate::supervised::{Heard, NextStart};
pub(crate) use cached::Cached;
pub(crate) use context::{Context, Frozen, Reports, own_env};
pub(crate) use snapshot::pin_of;

/// The effects that are going on.
#[derive(Debug)]
pub(crate) struct Executors {
    context: Arc<Context>,
    hands: Arc<Hands>,
    active: Mutex<BTreeMap<EffectId, Sender<Heard>>>,
    ended: Condvar,
}

/// An effect and the ear of its executor.
pub(crate) struct Execution<'a> {
    pub(crate) context: &'a Context,
    pub(crate) effect: &'a Effect,
    pub(crate) heard: &'a Receiver<Heard>,
    pub(crate) mouth: &'a Sender<Heard>,
    /// Whether nobody wants it any more.
    pub(crate) stopped: Cell<bool>,
    /// What its agent was seen to have used so far.
    pub(crate) used: Cell<Usage>,
}

/// Why an effect does not come to its outcome.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Nobody wants it any more: there is nothing to report.
    Unwanted,
    /// The orchestrator could not do its part.
    Broken {
        /// What went wrong, with its causes.
        message: String,
    },
}

impl Halt {
    fn broken(message: impl Into<String>) -> Self {
        Self::Broken { message: message.into() }
    }
}

impl<E: std::error::Error> From<E> for Halt {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::Broken { message }
    }
}

/// Who makes effects go on and ends them, as the run loop sees it.
pub(crate) trait CarryOut: Send {
    /// Makes an effect go on, unless it does already. Answers its outcome if it cannot even begin.
    fn start(&self, effect: Effect) -> Result<(), Box<Outcome>>;
    /// An effect is not wanted any more: what it does is ended, what it made is pinned.
    fn stop(&self, effect: &EffectId);
    /// What became of these effects is stored.
    fn settled(&self, effects: &[EffectId]);
    /// At the start: what a daemon before this one left and nobody wants is ended.
    fn take_over(&self, wanted: &[EffectId]);
    /// How many effects are going on.
    fn count(&self) -> usize;
}

impl CarryOut for Arc<Executors> {
    fn start(&self, effect: Effect) -> Result<(), Box<Outcome>> {
        self.begin(effect)
    }

    fn stop(&self, effect: &EffectId) {
        if let Some(mouth) = self.active().get(effect) {
            let _ = mouth.send(Heard::Stop);
        }
    }

    fn settled(&self, effects: &[EffectId]) {
        self.forget(effects);
    }

    fn take_over(&self, wanted: &[EffectId]) {
        self.reserve_slots();
        self.end_unwanted(wanted);
    }

    fn count(&self) -> usize {
        self.how_many()
    }
}

impl Executors {
    /// Executors that work with these.
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        Arc::new(Self {
            context,
            hands: Arc::default(),
            active: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    fn begin(self: &Arc<Self>, effect: Effect) -> Result<(), Box<Outcome>> {
        let (mouth, heard) = channel();
        let before = {
            let mut active = self.active();
            if active.contains_key(&effect.id) {
                return Ok(());
            }
            let before: Vec<EffectId> =
                active.keys().filter(|other| is_of_one(other, &effect.id)).cloned().collect();
            active.insert(effect.id.clone(), mouth.clone());
            before
        };
        let this = self.clone();
        let id = effect.id.clone();
        let begun = self.hands.take(Box::new(move || {
            this.wait_for(&before);
            this.carry_out(&effect, &mouth, &heard);
        }));
        begun.map_err(|error| {
            self.done(&id);
            let message = format!("no thread could be started: {error}");
            Box::new(Outcome::Broken { message, usage: Usage::default() })
        })
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<EffectId, Sender<Heard>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for effects of the same task that were stopped and are not at their end yet: they
    /// may still write to its workspace.
    fn wait_for(&self, before: &[EffectId]) {
        let ended = self.ended.wait_while(self.active(), |active| {
            before.iter().any(|effect| active.contains_key(effect))
        });
        drop(ended);
    }

    /// Whether an effect of this task is going on.
    pub(crate) fn is_active(&self, run: &RunId, task: &TaskId) -> bool {
        let of_task = format!("{run}.{task}.");
        self.active().keys().any(|effect| effect.as_str().starts_with(&of_task))
    }

    /// Keeps the check workspaces of the processes that the daemon before this one left running.
    fn reserve_slots(&self) {
        let (live, _) = self.context.supervised.known();
        for process in live {
            let effect = process.as_str().rsplit_once('.').map(|(effect, _)| effect);
            if let Some(effect) = effect.and_then(|effect| EffectId::new(effect).ok())
                && let Some(number) = check::slot_of(&self.context.paths, &effect)
            {
                self.context.slots.reserve(&effect, number);
            }
        }
    }

    /// Ends every process that no wanted effect has started.
    fn end_unwanted(&self, wanted: &[EffectId]) {
        let is_wanted = |process: &EffectId| {
            wanted.iter().any(|effect| {
                let rest = process.as_str().strip_prefix(effect.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let (live, ended) = self.context.supervised.known();
        for process in live.iter().filter(|process| !is_wanted(process)) {
            self.context.supervised.stop_unwanted(process);
        }
        let settled: Vec<EffectId> =
            ended.into_iter().filter(|process| !is_wanted(process)).collect();
        self.forget(&settled);
    }

    fn forget(&self, effects: &[EffectId]) {
        let next = if self.how_many() == 0 { NextStart::NotExpected } else { NextStart::Expected };
        self.context.supervised.forget(effects, next);
    }

    /// How many effects are going on.
    pub(crate) fn how_many(&self) -> usize {
        self.active().len()
    }

    /// What the executors work with.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    fn carry_out(&self, effect: &Effect, mouth: &Sender<Heard>, heard: &Receiver<Heard>) {
        let (stopped, used) = (Cell::new(false), Cell::new(Usage::default()));
        let execution = Execution { context: &self.context, effect, heard, mouth, stopped, used };
        let carried = || execution.go_on().and_then(|()| execution.execute());
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(carried)).unwrap_or_else(|_| {
            Err(Halt::broken("a fault of the orchestrator; see the daemon's log"))
        });
        match outcome {
            Ok(outcome) => self.report(&effect.id, outcome),
            // What an agent used is counted, whoever is at fault that its work comes to nothing.
            Err(Halt::Broken { message }) => {
                tracing::warn!(effect = %effect.id, message, "an effect could not be carried out");
                self.report(&effect.id, Outcome::Broken { message, usage: execution.used.get() });
            }
            Err(Halt::Unwanted) if has_agent(&effect.action) => {
                let (message, usage) = ("it was stopped".to_owned(), execution.used.get());
                self.report(&effect.id, Outcome::Broken { message, usage });
            }
            Err(Halt::Unwanted) => {
                self.done(&effect.id);
                self.forget(std::slice::from_ref(&effect.id));
            }
        }
    }

    fn report(&self, effect: &EffectId, outcome: Outcome) {
        fail_point::reached("report.before");
        self.done(effect);
        self.context.reports.finished(effect.clone(), outcome);
    }

    fn done(&self, effect: &EffectId) {
        self.active().remove(effect);
        self.ended.notify_all();
    }
}

/// Whether an agent works for it, whose use is counted.
fn has_agent(action: &Action) -> bool {
    match action {
        Action::AskPlan(_) | Action::RunAttempt(_) => true,
        Action::PrepareBase { .. }
        | Action::CheckBase { .. }
        | Action::Merge(_)
        | Action::Verify { .. }
        | Action::Advance { .. }
        | Action::Publish { .. } => false,
    }
}

/// Whether two effects are of the same task. Those of a run as a whole are of none.
fn is_of_one(one: &EffectId, other: &EffectId) -> bool {
    let task_of = |id: &EffectId| id.as_str().rsplit_once('.').map(|(task, _)| task.to_owned());
    match (task_of(one), task_of(other)) {
        (Some(one), Some(other)) => one == other && one.contains('.'),
        (None, _) | (_, None) => false,
    }
}

impl Execution<'_> {
    fn execute(&self) -> Result<Outcome, Halt> {
        match &self.effect.action {
            Action::PrepareBase { rev } => base::prepare(self, rev),
            Action::CheckBase { commit, tree } => {
                let checks = &self.effect.options.checks;
                // Which of them are red on the base has to be known where it is gone on from.
                let until = match self.effect.options.red_base {
                    RedBase::Stop => Until::FirstFailure,
                    RedBase::GoOn => Until::End,
                };
                check::run(self, &check::Checked { commit, tree, checks, until })
            }
            Action::AskPlan(ask) => plan::ask(self, ask),
            Action::RunAttempt(attempt) => match &attempt.conflict {
                None => attempt::work(self, attempt),
                Some(conflict) => resolve::resolve(self, attempt, conflict),
            },
            Action::Merge(merge) => landing::merge(self, merge),
            Action::Verify { commit, tree, checks, .. } => {
                let until = Until::FirstFailure;
                check::run(self, &check::Checked { commit, tree, checks, until })
            }
            Action::Advance { from, to, .. } => landing::advance(self, from, to),
            Action::Publish { commit, previous } => {
                landing::publish(self, commit, previous.as_ref())
            }
        }
    }

    /// The name of the run's target in the hub.
    fn target_ref(&self) -> String {
        format!("refs/cxo/runs/{}/target", self.effect.run)
    }
}
