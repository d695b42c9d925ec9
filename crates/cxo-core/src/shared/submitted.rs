//! Submitted tasks: each is done by a run of its own, and its end is told under its own name.

use std::collections::{BTreeMap, VecDeque};

use cxo_protocol::shared::SubmittedEnd;
use cxo_protocol::view::TaskWord;
use cxo_protocol::{Principal, Published, RunEnd, RunId, SharedEvent, TaskId};

use super::{Shared, SharedRejected, Tokens};
use crate::run::{Phase, Run};

/// Tasks that are remembered after their end, the newest. The log remembers all of them; this is for
/// refusing their names, and for telling what comes late under them.
pub const MAX_ENDED_TASKS: usize = 10_000;

/// A submitted task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The run that does it.
    pub run: RunId,
    /// Which agent does it.
    pub agent_type: String,
    /// Who submitted it.
    pub by: Principal,
    /// How many tokens it had used when it met its limit.
    pub exceeded: Option<u64>,
    /// How many tokens were settled.
    pub settled: u64,
    /// How it ended.
    pub end: Option<SubmittedEnd>,
}

/// All submitted tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmittedTasks {
    known: BTreeMap<TaskId, Submitted>,
    pub(crate) by_run: BTreeMap<RunId, TaskId>,
    open: usize,
    /// Those at their end, the oldest end first.
    pub(crate) ended: VecDeque<TaskId>,
}

impl SubmittedTasks {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&TaskId, &Submitted)> {
        self.known.iter()
    }

    /// A submitted task.
    pub fn get(&self, task: &TaskId) -> Option<&Submitted> {
        self.known.get(task)
    }

    /// The task that a run does.
    pub fn of_run(&self, run: &RunId) -> Option<&TaskId> {
        self.by_run.get(run)
    }

    /// How many are not at their end.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The run of a task that is not at its end.
    pub fn open_run(&self, task: &TaskId) -> Result<&RunId, SharedRejected> {
        match self.known.get(task) {
            None => Err(SharedRejected::NoTask { task: task.clone() }),
            Some(Submitted { end: Some(_), .. }) => {
                Err(SharedRejected::TaskOver { task: task.clone() })
            }
            Some(open) => Ok(&open.run),
        }
    }

    /// How many tokens were set aside for the task that a run does; `None` without a limit, or if
    /// it is known already that they are used up.
    pub fn limit_of(&self, run: &RunId, tokens: &Tokens) -> Option<u64> {
        let task = self.by_run.get(run)?;
        let open = self.known.get(task).filter(|task| task.end.is_none())?;
        let reserved = tokens.aside_for(task);
        (reserved > 0 && open.exceeded.is_none()).then_some(reserved)
    }

    pub(super) fn is_free(&self, task: &TaskId) -> Result<(), SharedRejected> {
        if self.known.contains_key(task) {
            Err(SharedRejected::TaskExists { task: task.clone() })
        } else {
            Ok(())
        }
    }

    pub(super) fn put(&mut self, task: TaskId, submitted: Submitted) {
        if self.known.contains_key(&task) || self.by_run.contains_key(&submitted.run) {
            return;
        }
        self.by_run.insert(submitted.run.clone(), task.clone());
        self.known.insert(task, submitted);
        self.open += 1;
    }

    pub(super) fn exceed(&mut self, task: &TaskId, tokens: u64) {
        if let Some(submitted) = self.known.get_mut(task) {
            submitted.exceeded = Some(tokens);
        }
    }

    pub(super) fn settle(&mut self, task: &TaskId, tokens: u64) {
        if let Some(submitted) = self.known.get_mut(task) {
            submitted.settled = submitted.settled.saturating_add(tokens);
        }
    }

    /// Ends a task; answers the one that is forgotten for it.
    pub(super) fn end(&mut self, task: &TaskId, end: &SubmittedEnd) -> Option<TaskId> {
        let submitted = self.known.get_mut(task).filter(|task| task.end.is_none())?;
        submitted.end = Some(end.clone());
        self.open = self.open.saturating_sub(1);
        self.ended.push_back(task.clone());
        if self.ended.len() <= MAX_ENDED_TASKS {
            return None;
        }
        let oldest = self.ended.pop_front()?;
        if let Some(forgotten) = self.known.remove(&oldest) {
            self.by_run.remove(&forgotten.run);
        }
        Some(oldest)
    }
}

impl Shared {
    /// What a run's end says of the task that it did, where that is not said yet. Its tokens are
    /// settled when none of its agents is left whose use is not known: until then what was set
    /// aside for them is nobody else's.
    pub(crate) fn after_run(&self, run: &Run) -> Vec<SharedEvent> {
        let Phase::Ended { end, .. } = &run.phase else { return Vec::new() };
        let Some(task) = self.submitted.of_run(&run.id) else { return Vec::new() };
        let Some(submitted) = self.submitted.get(task) else { return Vec::new() };
        let mut events = Vec::new();
        if !run.has_uncounted() {
            let used = run.used.total_tokens().max(submitted.exceeded.unwrap_or_default());
            events.extend(self.settle(task, used.saturating_sub(submitted.settled)));
        }
        if submitted.end.is_none() {
            let end = match submitted.exceeded {
                Some(tokens) => SubmittedEnd::Failed {
                    reason: format!("its token budget is used up: {tokens} tokens"),
                },
                None => end_of(run, *end),
            };
            events.push(SharedEvent::TaskEnded { task: task.clone(), run: run.id.clone(), end });
        }
        events
    }

    /// Settles what is set aside for tasks that are over and whose agents nobody hears of any more.
    pub(crate) fn settle_ended(&self) -> Vec<SharedEvent> {
        let aside = self.tokens.of_tasks().map(|(task, _)| task);
        let is_over = |task: &&TaskId| self.submitted.open_run(task).is_err();
        aside.filter(is_over).flat_map(|task| self.settle(task, 0)).collect()
    }

    fn settle(&self, task: &TaskId, tokens: u64) -> Vec<SharedEvent> {
        if tokens == 0 && self.tokens.aside_for(task) == 0 {
            return Vec::new();
        }
        let settled = SharedEvent::TokensSettled { task: task.clone(), tokens };
        std::iter::once(settled).chain(self.tokens.warning(tokens)).collect()
    }

    /// What is to be said of the tokens that a running task was seen to have used: nothing, or that
    /// it met its limit and has to stop.
    pub(crate) fn after_tokens(&self, run: &RunId, tokens: u64) -> Option<SharedEvent> {
        let limit = self.submitted.limit_of(run, &self.tokens)?;
        let (task, run) = (self.submitted.of_run(run)?.clone(), run.clone());
        (tokens >= limit).then_some(SharedEvent::TokensExceeded { task, run, tokens })
    }
}

fn end_of(run: &Run, end: RunEnd) -> SubmittedEnd {
    match end {
        RunEnd::Cancelled => SubmittedEnd::Cancelled,
        RunEnd::Done | RunEnd::Planned => match &run.published {
            Some(Published::Branch { branch, commit }) => SubmittedEnd::Completed {
                commit: Some(commit.clone()),
                branch: Some(branch.clone()),
            },
            Some(Published::KeptInHub { commit, .. }) => {
                SubmittedEnd::Completed { commit: Some(commit.clone()), branch: None }
            }
            Some(Published::Nothing) | None => SubmittedEnd::Unchanged,
        },
        RunEnd::Failed => {
            let view = run.view_without_tasks();
            let of_task = run.tasks.iter().filter_map(|task| run.task_view(&task.spec.id));
            let failed = of_task.into_iter().find(|task| task.state == TaskWord::Failed);
            let reason = failed.and_then(|task| task.detail).or(view.failure);
            SubmittedEnd::Failed { reason: reason.unwrap_or_else(|| "the run failed".to_owned()) }
        }
    }
}

#[cfg(test)]
mod tests;
