//! What the methods of registered agents, submitted tasks and tokens are given and what they
//! answer.

use serde::{Deserialize, Serialize};

use crate::topic::AgentWord;
use crate::{AgentId, Role, RunId, TaskId, Timestamp};

/// See `agent.register`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentRegister {
    /// The agent's name, unique in the repository.
    pub agent_id: AgentId,
    /// Which kind of agent it is: `codex`, `claude` …
    pub agent_type: String,
    /// What it may do; a worker unless another is given.
    #[serde(default)]
    pub role: Role,
}

/// An agent is registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentRegistered {
    /// Always true.
    pub success: bool,
    /// The token by which the agent proves itself from now on. It is shown once and kept nowhere.
    pub token: String,
    /// Until when the token is good.
    pub expires_at: Timestamp,
}

/// See `agent.heartbeat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentHeartbeat {
    /// The agent.
    pub agent_id: AgentId,
}

/// The registered agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentList {
    /// By name.
    pub agents: Vec<AgentView>,
}

/// A registered agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentView {
    /// Its name.
    pub agent_id: AgentId,
    /// Which kind it is.
    pub agent_type: String,
    /// Its role.
    pub role: Role,
    /// How it is.
    pub status: AgentWord,
    /// When it was last heard of.
    pub last_heartbeat: Timestamp,
    /// Tokens that it used.
    pub tokens_used: u64,
}

/// See `task.submit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSubmit {
    /// The task's name, unique in the repository.
    pub task_id: TaskId,
    /// The agent that does it, by its name in the configuration.
    pub agent_type: String,
    /// What is to be done.
    pub task_description: String,
    /// Kept with the task for whoever submitted it.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub metadata: serde_json::Value,
}

/// A task was submitted; an agent will do it in a workspace of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskSubmitted {
    /// Always true.
    pub success: bool,
    /// The task.
    pub task_id: TaskId,
    /// The run that does it: `cxo status RUN`, `cxo logs RUN`.
    pub run: RunId,
}

/// See `task.cancel`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskCancel {
    /// The task.
    pub task_id: TaskId,
}

/// See `tokens.reportUsage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenReport {
    /// The agent that used them.
    pub agent_id: AgentId,
    /// How many since its last report.
    pub tokens_used: u64,
}

/// A report was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokensReported {
    /// Always true.
    pub success: bool,
    /// What the agent may still use; absent where there is no limit.
    pub remaining_budget: Option<u64>,
}

/// The token budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenBudget {
    /// All agents together; 0 is no limit.
    pub total_budget: u64,
    /// Used.
    pub used: u64,
    /// Set aside for turns that are going on.
    pub reserved: u64,
    /// Neither used nor set aside; absent where there is no limit.
    pub remaining: Option<u64>,
    /// From here on a warning is given.
    pub warning_threshold: u64,
    /// One agent; 0 is no limit.
    pub per_agent_limit: u64,
}
