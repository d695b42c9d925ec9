//! The token budget of agents that work through the server: set aside before a turn, settled after
//! it, limited in total and per agent.

use std::collections::BTreeMap;

use cxo_protocol::shared::TokenLimits;
use cxo_protocol::{AgentId, SharedEvent};

use super::SharedRejected;

/// The most tokens that one report can count. No call uses nearly as many.
pub const MAX_REPORT: u64 = 1_000_000_000;

/// What one agent used, and what is set aside for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Used.
    pub used: u64,
    /// Set aside for a turn that goes on.
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
    by_agent: BTreeMap<AgentId, Use>,
}

/// What is left of a limit; `None` without one.
fn left(limit: u64, taken: u64) -> Option<u64> {
    (limit > 0).then(|| limit.saturating_sub(taken))
}

impl Tokens {
    /// What each agent used, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, Use)> {
        self.by_agent.iter().map(|(agent, own)| (agent, *own))
    }

    /// What one agent used.
    pub fn of(&self, agent: &AgentId) -> Use {
        self.by_agent.get(agent).copied().unwrap_or_default()
    }

    /// What is neither used nor set aside; `None` without a limit.
    pub fn remaining(&self) -> Option<u64> {
        left(self.limits.total, self.all.taken())
    }

    /// What an agent may still use; `None` without a limit.
    pub fn remaining_of(&self, agent: &AgentId) -> Option<u64> {
        let own = left(self.limits.per_agent, self.of(agent).taken());
        match (own, self.remaining()) {
            (Some(own), Some(all)) => Some(own.min(all)),
            (own, all) => own.or(all),
        }
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

    /// How many tokens are set aside for a turn: what the agent has left, 0 without a limit.
    pub(super) fn reserve(&self, agent: &AgentId) -> Result<u64, SharedRejected> {
        match self.remaining_of(agent) {
            Some(0) => {
                let total_is_met = self.remaining() == Some(0);
                let (taken, limit) = if total_is_met {
                    (self.all, self.limits.total)
                } else {
                    (self.of(agent), self.limits.per_agent)
                };
                let Use { used, reserved } = taken;
                Err(SharedRejected::OverBudget { used, reserved, limit })
            }
            Some(tokens) => Ok(tokens),
            None => Ok(0),
        }
    }

    /// The warning, if these tokens cross its line.
    pub(super) fn warning(&self, tokens: u64) -> Option<SharedEvent> {
        let (before, line) = (self.all.used, self.limits.warning);
        let used = before.saturating_add(tokens);
        (line > 0 && before < line && used >= line).then_some(SharedEvent::TokensWarned { used })
    }

    pub(super) fn set_aside(&mut self, agent: &AgentId, tokens: u64) {
        for each in [&mut self.all, self.by_agent.entry(agent.clone()).or_default()] {
            each.reserved = each.reserved.saturating_add(tokens);
        }
    }

    pub(super) fn settle(&mut self, agent: &AgentId, tokens: u64) {
        let own = self.by_agent.entry(agent.clone()).or_default();
        self.all.reserved = self.all.reserved.saturating_sub(own.reserved);
        own.reserved = 0;
        self.used(agent, tokens);
    }

    pub(super) fn used(&mut self, agent: &AgentId, tokens: u64) {
        for each in [&mut self.all, self.by_agent.entry(agent.clone()).or_default()] {
            each.used = each.used.saturating_add(tokens);
        }
    }
}

#[cfg(test)]
mod tests;
