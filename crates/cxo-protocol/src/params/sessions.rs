//! What the methods of sessions, subscriptions and the server's status are given and what they
//! answer.

use serde::{Deserialize, Serialize};

use crate::{SessionId, SessionName};

/// It was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Success {
    /// Always true: what was not done is an error.
    pub success: bool,
}

impl Success {
    /// The only one.
    pub const DONE: Self = Self { success: true };
}

/// See `session.start`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionStart {
    /// The session's name, unique in the repository.
    pub session_id: SessionId,
    /// A directory in the work tree that the session works on.
    pub cwd: String,
}

/// See `session.end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionStop {
    /// The session, by name or number.
    pub session_id: SessionName,
}

/// See `pubsub.subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicsSubscribe {
    /// Topics, or with a wildcard at the end: `task.*`, `*`.
    pub topics: Vec<String>,
    /// Every event after this position, then a notice `pubsub.caughtUp`, then what comes; absent:
    /// only what comes from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// Events will be pushed on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TopicsSubscribed {
    /// Always true.
    pub success: bool,
    /// The last position in the log at this moment.
    pub seq: u64,
}

/// See `pubsub.unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicsUnsubscribe {
    /// As they were subscribed to.
    pub topics: Vec<String>,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServerStatus {
    /// The daemon's version.
    pub server_version: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Requests that wait to be decided.
    pub queue_size: u64,
    /// How many may wait.
    pub queue_capacity: u64,
    /// Registered agents that were heard of lately, and agents of runs that work now.
    pub active_agents: u64,
    /// Tasks that are not at their end.
    pub active_tasks: u64,
    /// Tokens that were counted on the server's budget.
    pub total_tokens_used: u64,
    /// That budget; 0 is no limit.
    pub total_tokens_budget: u64,
}
