//! Registered agents: who came by itself, by which token it is known, and when it was last heard of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use cxo_protocol::wire::handshake::TOKEN_ID_DIGITS;
use cxo_protocol::{AgentId, Principal, Role, SharedEvent, Timestamp};

use super::SharedRejected;

/// Registered agents at one time; those that were lost make room for new ones.
pub const MAX_AGENTS: usize = 1024;

/// An agent that was not heard of for so long is lost.
pub const AGENT_LOST_AFTER_MS: u64 = 90_000;

/// A beat so soon after the one before tells nothing that is worth keeping.
const BEAT_EVERY_MS: u64 = 20_000;

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// Which kind it says it is.
    pub agent_type: String,
    /// What its token lets it do.
    pub role: Role,
    /// Who registered it.
    pub by: Principal,
    /// The digest of its token, in hex.
    pub token_sha256: String,
    /// Until when the token is good.
    pub expires_at: Timestamp,
    /// When it was last heard of.
    pub last_heartbeat: Timestamp,
    /// Whether it was not heard of for too long.
    pub lost: bool,
}

/// All registered agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agents {
    known: BTreeMap<AgentId, Registered>,
    /// By the digests of their tokens, of which no two are the same.
    by_token: BTreeMap<String, AgentId>,
    pub(crate) by_silence: BTreeSet<(Timestamp, AgentId)>,
}

impl Agents {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&AgentId, &Registered)> {
        self.known.iter()
    }

    /// One of them.
    pub fn get(&self, agent: &AgentId) -> Result<&Registered, SharedRejected> {
        self.known.get(agent).ok_or_else(|| SharedRejected::NoAgent { agent: agent.clone() })
    }

    /// Whose token has this digest.
    pub fn of_token(&self, token_sha256: &str) -> Option<&AgentId> {
        self.by_token.get(token_sha256)
    }

    /// Whose token has this id, which is the beginning of its digest. Anybody may ask before they prove
    /// anything, so this looks at one agent, however many there are.
    pub fn of_token_id(&self, id: &str) -> Option<&AgentId> {
        let (digest, agent) =
            self.by_token.range::<str, _>((Bound::Included(id), Bound::Unbounded)).next()?;
        (digest.get(..TOKEN_ID_DIGITS) == Some(id)).then_some(agent)
    }

    pub(super) fn admit(&self, agent: &AgentId) -> Result<(), SharedRejected> {
        let is_full = self.known.len() >= MAX_AGENTS && self.longest_lost().is_none();
        if is_full && !self.known.contains_key(agent) {
            let free_at = self.next_wakeup();
            return Err(SharedRejected::TooMany { what: "agents", limit: MAX_AGENTS, free_at });
        }
        Ok(())
    }

    fn longest_lost(&self) -> Option<AgentId> {
        let lost = self.known.iter().filter(|(_, agent)| agent.lost);
        lost.min_by_key(|(_, agent)| agent.last_heartbeat).map(|(id, _)| id.clone())
    }

    pub(super) fn beat(
        &self,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Vec<SharedEvent>, SharedRejected> {
        let known = self.get(agent)?;
        let tells = known.lost || now.millis_since(known.last_heartbeat) >= BEAT_EVERY_MS;
        Ok(tells.then(|| SharedEvent::AgentBeat { agent: agent.clone() }).into_iter().collect())
    }

    pub(super) fn lose(&self, now: Timestamp) -> Vec<SharedEvent> {
        let due = self.by_silence.iter().take_while(|(at, _)| *at <= now);
        due.map(|(_, agent)| SharedEvent::AgentLost { agent: agent.clone() }).collect()
    }

    pub(super) fn next_wakeup(&self) -> Option<Timestamp> {
        self.by_silence.first().map(|(at, _)| *at)
    }

    /// Takes an agent in; answers the one that made room for it and is forgotten.
    pub(super) fn put(&mut self, id: &AgentId, agent: Registered) -> Option<AgentId> {
        let is_full = !self.known.contains_key(id) && self.known.len() >= MAX_AGENTS;
        let forgotten = self.longest_lost().filter(|_| is_full);
        if let Some(lost) = &forgotten {
            self.forget(lost);
        }
        self.is_waited_for(id, false);
        self.forget(id);
        self.by_token.insert(agent.token_sha256.clone(), id.clone());
        self.known.insert(id.clone(), agent);
        self.is_waited_for(id, true);
        forgotten
    }

    fn forget(&mut self, id: &AgentId) {
        if let Some(agent) = self.known.remove(id) {
            self.by_token.remove(&agent.token_sha256);
        }
    }

    pub(super) fn heard(&mut self, id: &AgentId, at: Timestamp) {
        self.is_waited_for(id, false);
        if let Some(agent) = self.known.get_mut(id) {
            agent.last_heartbeat = at;
            agent.lost = false;
        }
        self.is_waited_for(id, true);
    }

    pub(super) fn lost(&mut self, id: &AgentId) {
        self.is_waited_for(id, false);
        if let Some(agent) = self.known.get_mut(id) {
            agent.lost = true;
        }
    }

    /// Keeps the instant at which an agent's silence is too long, or forgets it.
    fn is_waited_for(&mut self, id: &AgentId, waited: bool) {
        let Some(agent) = self.known.get(id) else { return };
        let key = (agent.last_heartbeat.plus_millis(AGENT_LOST_AFTER_MS), id.clone());
        if waited {
            self.by_silence.insert(key);
        } else {
            self.by_silence.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests;
