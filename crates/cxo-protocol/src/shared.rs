//! What all callers of a repository share, and the facts about it: sessions, locks, registered
//! agents, submitted tasks and the token budget. These facts stand in the repository's own part of
//! the log, beside the parts of the runs.

use serde::{Deserialize, Serialize};

use crate::{
    AgentId, Case, CommitId, LockId, LockKind, Role, RunId, SessionId, TaskId, Timestamp, TreePath,
};

/// Who calls, as far as rights go. Given by how the caller proved itself, never by what it says.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Principal {
    /// The user, by the key of the repository's daemon.
    User,
    /// A screen of the user's.
    Gui,
    /// An agent that registered itself.
    Agent(AgentId),
    /// An attempt of a run, by its own socket.
    Attempt(crate::AttemptId),
}

impl Principal {
    /// Whether it is the user, or a screen that acts for the user.
    pub fn is_users(&self) -> bool {
        match self {
            Self::User | Self::Gui => true,
            Self::Agent(_) | Self::Attempt(_) => false,
        }
    }
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Gui => f.write_str("gui"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
            Self::Attempt(attempt) => write!(f, "attempt:{attempt}"),
        }
    }
}

/// A text that names no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a principal is `user`, `gui`, `agent:NAME` or `attempt:ID`")]
pub struct NoPrincipal;

impl std::str::FromStr for Principal {
    type Err = NoPrincipal;

    fn from_str(text: &str) -> Result<Self, NoPrincipal> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            None if text == "gui" => Ok(Self::Gui),
            Some(("agent", name)) => AgentId::new(name).map(Self::Agent).map_err(|_| NoPrincipal),
            Some(("attempt", id)) => {
                crate::AttemptId::new(id).map(Self::Attempt).map_err(|_| NoPrincipal)
            }
            None | Some(_) => Err(NoPrincipal),
        }
    }
}

/// The limits on tokens. 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TokenLimits {
    /// All agents together.
    pub total: u64,
    /// From here on a warning is given, once.
    pub warning: u64,
    /// One agent.
    pub per_agent: u64,
}

impl Default for TokenLimits {
    fn default() -> Self {
        Self { total: 100_000, warning: 80_000, per_agent: 20_000 }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// It was asked to end.
    Asked,
    /// It was one of a connection only, and that is gone.
    Disconnected,
    /// Another session has taken over what it left.
    TakenOver,
    /// Its worktree could not be made.
    NoWorktree,
    /// Nobody was there any more, and it left nothing.
    CleanedUp,
}

/// Why a lock is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockEnd {
    /// Its holder gave it back.
    Released,
    /// Its time was up.
    Expired,
    /// Its session ended.
    SessionEnded,
    /// The user took it away.
    Forced,
    /// Another session holds it now, under a new fence.
    HandedOver,
}

/// How a submitted task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum SubmittedEnd {
    /// The agent's work landed.
    Completed {
        /// The result's commit.
        commit: Option<CommitId>,
        /// The branch on which the user finds it.
        branch: Option<String>,
    },
    /// The agent changed nothing.
    Unchanged,
    /// It could not be done.
    Failed {
        /// Why.
        reason: String,
    },
    /// Somebody cancelled it.
    Cancelled,
}

/// A fact about what is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type")]
pub enum SharedEvent {
    /// The limits on tokens are these from now on.
    #[serde(rename = "tokens.limited")]
    TokensLimited {
        /// The limits.
        limits: TokenLimits,
    },
    /// A session began.
    #[serde(rename = "session.started")]
    SessionStarted {
        /// The session.
        session: SessionId,
        /// Whose it is.
        principal: Principal,
        /// The tree that it works on, absolute.
        tree: String,
        /// Whether it ends with its connection.
        of_connection: bool,
    },
    /// A session is over; its locks are free.
    #[serde(rename = "session.ended")]
    SessionEnded {
        /// The session.
        session: SessionId,
        /// Why.
        why: SessionEnd,
    },
    /// A lock was granted.
    #[serde(rename = "lock.acquired")]
    LockAcquired {
        /// The lock.
        lock: LockId,
        /// What is locked, from the root of the tree; absent for all of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<TreePath>,
        /// What it covers.
        kind: LockKind,
        /// Whether the tree tells cases apart.
        case: Case,
        /// Who holds it.
        session: SessionId,
        /// Larger than every fence before it.
        fence: u64,
        /// When it ends by itself.
        expires_at: Timestamp,
    },
    /// A lock's holder wants it for longer.
    #[serde(rename = "lock.renewed")]
    LockRenewed {
        /// The lock.
        lock: LockId,
        /// When it ends by itself.
        expires_at: Timestamp,
    },
    /// A lock is free again.
    #[serde(rename = "lock.released")]
    LockReleased {
        /// The lock.
        lock: LockId,
        /// Why.
        why: LockEnd,
    },
    /// An agent registered itself, or did so again with a new token.
    #[serde(rename = "agent.registered")]
    AgentRegistered {
        /// The agent.
        agent: AgentId,
        /// Which kind of agent it says it is.
        agent_type: String,
        /// Its role; that of an agent registered before there were roles is worker.
        #[serde(default)]
        role: Role,
        /// Who registered it.
        by: Principal,
        /// The digest of its token, in hex. The token itself is kept nowhere.
        token_sha256: String,
        /// Until when the token is good.
        expires_at: Timestamp,
    },
    /// An agent said that it lives. Not every beat is kept.
    #[serde(rename = "agent.beat")]
    AgentBeat {
        /// The agent.
        agent: AgentId,
    },
    /// Nothing was heard of an agent for too long.
    #[serde(rename = "agent.lost")]
    AgentLost {
        /// The agent.
        agent: AgentId,
    },
    /// Tokens were set aside for a submitted task.
    #[serde(rename = "tokens.reserved")]
    TokensReserved {
        /// For which.
        task: TaskId,
        /// How many.
        tokens: u64,
    },
    /// The agents of a submitted task are gone: what was set aside for it is free, and this was
    /// used.
    #[serde(rename = "tokens.settled")]
    TokensSettled {
        /// The task.
        task: TaskId,
        /// How many were used, beside those that were settled before.
        tokens: u64,
    },
    /// An agent told of tokens that it used.
    #[serde(rename = "tokens.reported")]
    TokensReported {
        /// The agent.
        agent: AgentId,
        /// How many.
        tokens: u64,
    },
    /// The use of tokens crossed the line at which a warning is given.
    #[serde(rename = "tokens.warned")]
    TokensWarned {
        /// How many are used.
        used: u64,
    },
    /// A submitted task used what was set aside for it, and has to stop.
    #[serde(rename = "tokens.exceeded")]
    TokensExceeded {
        /// The task.
        task: TaskId,
        /// The run that does it.
        run: RunId,
        /// How many it was seen to have used.
        tokens: u64,
    },
    /// A task was submitted: a run of its own does it.
    #[serde(rename = "task.submitted")]
    TaskSubmitted {
        /// The task, as it was named by who submitted it.
        task: TaskId,
        /// The run that does it.
        run: RunId,
        /// Which agent does it.
        agent_type: String,
        /// Who submitted it.
        by: Principal,
        /// What was handed along, for who submitted it.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        metadata: serde_json::Value,
    },
    /// A submitted task is at its end.
    #[serde(rename = "task.ended")]
    TaskEnded {
        /// The task.
        task: TaskId,
        /// The run that did it.
        run: RunId,
        /// How.
        end: SubmittedEnd,
    },
    /// A file was written.
    #[serde(rename = "file.written")]
    FileWritten {
        /// By which session.
        session: SessionId,
        /// The file, canonical, relative to the session's tree.
        path: String,
        /// The SHA-256 of its content in hex; absent when it was deleted.
        sha: Option<String>,
    },
    /// A session's tree was committed.
    #[serde(rename = "tree.committed")]
    TreeCommitted {
        /// By which session.
        session: SessionId,
        /// The commit.
        commit: CommitId,
    },
    /// A branch was pushed.
    #[serde(rename = "branch.pushed")]
    BranchPushed {
        /// By which session.
        session: SessionId,
        /// The remote's name.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// The daemon's key was replaced.
    #[serde(rename = "key.rotated")]
    KeyRotated {},
    /// A fact about the work graph.
    #[serde(untagged)]
    Graph(crate::GraphEvent),
    /// About the work of sessions.
    #[serde(untagged)]
    Work(crate::WorkEvent),
}

impl SharedEvent {
    /// The name of its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TokensLimited { .. } => "tokens.limited",
            Self::SessionStarted { .. } => "session.started",
            Self::SessionEnded { .. } => "session.ended",
            Self::LockAcquired { .. } => "lock.acquired",
            Self::LockRenewed { .. } => "lock.renewed",
            Self::LockReleased { .. } => "lock.released",
            Self::AgentRegistered { .. } => "agent.registered",
            Self::AgentBeat { .. } => "agent.beat",
            Self::AgentLost { .. } => "agent.lost",
            Self::TokensReserved { .. } => "tokens.reserved",
            Self::TokensSettled { .. } => "tokens.settled",
            Self::TokensReported { .. } => "tokens.reported",
            Self::TokensWarned { .. } => "tokens.warned",
            Self::TokensExceeded { .. } => "tokens.exceeded",
            Self::TaskSubmitted { .. } => "task.submitted",
            Self::TaskEnded { .. } => "task.ended",
            Self::FileWritten { .. } => "file.written",
            Self::TreeCommitted { .. } => "tree.committed",
            Self::BranchPushed { .. } => "branch.pushed",
            Self::KeyRotated {} => "key.rotated",
            Self::Graph(event) => event.kind(),
            Self::Work(event) => event.kind(),
        }
    }
}
