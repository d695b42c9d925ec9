//! Submitted tasks: each is done by a run of its own, and its end is told under its own name.

use std::collections::BTreeMap;

use cxo_protocol::shared::SubmittedEnd;
use cxo_protocol::view::TaskWord;
use cxo_protocol::{AgentId, Principal, Published, RunEnd, RunId, SharedEvent, TaskId};

use super::{Shared, SharedRejected, Tokens};
use crate::run::{Phase, Run};

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
    /// How it ended.
    pub end: Option<SubmittedEnd>,
}

/// All submitted tasks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubmittedTasks {
    known: BTreeMap<TaskId, Submitted>,
    pub(crate) by_run: BTreeMap<RunId, TaskId>,
    open: usize,
}

/// The name under which a submitted task's tokens are counted. Names of agents and tasks are made
/// of the same characters.
pub(super) fn agent_of(task: &TaskId) -> AgentId {
    AgentId::from(task)
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
        let reserved = tokens.of(&agent_of(task)).reserved;
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

    pub(super) fn end(&mut self, task: &TaskId, end: &SubmittedEnd) {
        if let Some(submitted) = self.known.get_mut(task)
            && submitted.end.is_none()
        {
            submitted.end = Some(end.clone());
            self.open = self.open.saturating_sub(1);
        }
    }
}

impl Shared {
    /// What a run's end says of the task that it did, where that is not said yet.
    pub(crate) fn after_run(&self, run: &Run) -> Vec<SharedEvent> {
        let Phase::Ended { end, .. } = &run.phase else { return Vec::new() };
        let Some(task) = self.submitted.of_run(&run.id) else { return Vec::new() };
        let Ok(_) = self.submitted.open_run(task) else { return Vec::new() };
        let exceeded = self.submitted.get(task).and_then(|submitted| submitted.exceeded);
        let tokens = run.used.total_tokens().max(exceeded.unwrap_or_default());
        let end = match exceeded {
            Some(tokens) => SubmittedEnd::Failed {
                reason: format!("its token budget is used up: {tokens} tokens"),
            },
            None => end_of(run, *end),
        };
        let mut events = vec![SharedEvent::TokensSettled { agent: agent_of(task), tokens }];
        events.extend(self.tokens.warning(tokens));
        events.push(SharedEvent::TaskEnded { task: task.clone(), end });
        events
    }

    /// What is to be said of the tokens that a running task was seen to have used: nothing, or that
    /// it met its limit and has to stop.
    pub(crate) fn after_tokens(&self, run: &RunId, tokens: u64) -> Option<SharedEvent> {
        let limit = self.submitted.limit_of(run, &self.tokens)?;
        let task = self.submitted.of_run(run)?;
        (tokens >= limit).then(|| SharedEvent::TokensExceeded { task: task.clone(), tokens })
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
