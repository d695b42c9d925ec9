//! The token budget of agents that work through the server: set aside before a submitted task
//! begins, settled when its agents are gone, limited in total and per agent. Registered agents tell
//! by themselves what they used. An agent and a task of one name have nothing to do with each other.

use std::collections::BTreeMap;

use cxo_protocol::shared::TokenLimits;
use cxo_protocol::{AgentId, SharedEvent, TaskId};

use super::SharedRejected;

/// The most tokens that one report can count. No call uses nearly as many.
pub const MAX_REPORT: u64 = 1_000_000_000;

/// What was used, and what is set aside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Used.
    pub used: u64,
    /// Set aside for tasks whose agents are not known to be gone.
    pub reserved: u64,
}

impl Use {
    fn taken(self) -> u64 {
        self.used.saturating_add(self.reserved)
    }
}

/// The budget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The limits.
    pub limits: TokenLimits,
    /// All agents together.
    pub all: Use,
    /// What each registered agent used; they are as many as are registered.
    by_agent: BTreeMap<AgentId, u64>,
    /// What is set aside for each submitted task.
    by_task: BTreeMap<TaskId, u64>,
}

/// What is left of a limit; `None` without one.
fn left(limit: u64, taken: u64) -> Option<u64> {
    (limit > 0).then(|| limit.saturating_sub(taken))
}

/// The smaller of two rests; `None` if neither is limited.
fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

impl Tokens {
    /// What each registered agent used, by name.
    pub fn of_agents(&self) -> impl Iterator<Item = (&AgentId, u64)> {
        self.by_agent.iter().map(|(agent, used)| (agent, *used))
    }

    /// What is set aside for submitted tasks, by name.
    pub fn of_tasks(&self) -> impl Iterator<Item = (&TaskId, u64)> {
        self.by_task.iter().map(|(task, reserved)| (task, *reserved))
    }

    /// What a registered agent used.
    pub fn used_by(&self, agent: &AgentId) -> u64 {
        self.by_agent.get(agent).copied().unwrap_or_default()
    }

    /// What is set aside for a submitted task.
    pub fn aside_for(&self, task: &TaskId) -> u64 {
        self.by_task.get(task).copied().unwrap_or_default()
    }

    /// What is neither used nor set aside; `None` without a limit.
    pub fn remaining(&self) -> Option<u64> {
        left(self.limits.total, self.all.taken())
    }

    /// What a registered agent may still use; `None` without a limit.
    pub fn remaining_of(&self, agent: &AgentId) -> Option<u64> {
        least(left(self.limits.per_agent, self.used_by(agent)), self.remaining())
    }

    pub(super) fn limit(&self, limits: TokenLimits) -> Vec<SharedEvent> {
        let changed = self.limits != limits;
        changed.then_some(SharedEvent::TokensLimited { limits }).into_iter().collect()
    }

    pub(super) fn report(
        &self,
        agent: &AgentId,
        tokens: u64,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        if tokens > MAX_REPORT {
            return Err(SharedRejected::AbsurdReport);
        }
        let mut events = vec![SharedEvent::TokensReported { agent: agent.clone(), tokens }];
        events.extend(self.warning(tokens));
        Ok(events)
    }

    /// How many tokens are set aside for a task: what one agent may use, and no more than there
    /// is; 0 without a limit.
    pub(super) fn reserve(&self) -> Result<u64, SharedRejected> {
        match self.remaining() {
            Some(0) => {
                let Use { used, reserved } = self.all;
                Err(SharedRejected::OverBudget { used, reserved, limit: self.limits.total })
            }
            remaining => Ok(least(left(self.limits.per_agent, 0), remaining).unwrap_or_default()),
        }
    }

    /// The warning, if these tokens cross its line.
    pub(super) fn warning(&self, tokens: u64) -> Option<SharedEvent> {
        let (before, line) = (self.all.used, self.limits.warning);
        let used = before.saturating_add(tokens);
        (line > 0 && before < line && used >= line).then_some(SharedEvent::TokensWarned { used })
    }

    pub(super) fn set_aside(&mut self, task: &TaskId, tokens: u64) {
        let own = self.by_task.entry(task.clone()).or_default();
        *own = own.saturating_add(tokens);
        self.all.reserved = self.all.reserved.saturating_add(tokens);
    }

    pub(super) fn settle(&mut self, task: &TaskId, tokens: u64) {
        let own = self.by_task.remove(task).unwrap_or_default();
        self.all.reserved = self.all.reserved.saturating_sub(own);
        self.all.used = self.all.used.saturating_add(tokens);
    }

    pub(super) fn used(&mut self, agent: &AgentId, tokens: u64) {
        let own = self.by_agent.entry(agent.clone()).or_default();
        *own = own.saturating_add(tokens);
        self.all.used = self.all.used.saturating_add(tokens);
    }

    /// An agent is forgotten; what it used stays used.
    pub(super) fn forget(&mut self, agent: &AgentId) {
        self.by_agent.remove(agent);
    }
}

#[cfg(test)]
mod tests;
