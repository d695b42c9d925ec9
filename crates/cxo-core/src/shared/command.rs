//! What can be asked of what is shared.

use cxo_protocol::shared::{SessionEnd, TokenLimits};
use cxo_protocol::{AgentId, CommitId, LockId, LockPath, Principal, Role, SessionId, Timestamp};

use super::graph::{GraphCommand, SliceLimits};
use super::work::{Arrival, WorkCommand};

/// Something that has to be decided about what is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SharedCommand {
    /// The configuration limits tokens like this.
    LimitTokens(TokenLimits),
    /// Start a session, or take it up again.
    StartSession {
        /// The session.
        session: SessionId,
        /// Whose it is.
        principal: Principal,
        /// The tree that it works on, absolute.
        tree: String,
        /// Whether it ends with its connection.
        of_connection: bool,
        /// The connection that holds it from now on.
        arrival: Option<Arrival>,
    },
    /// End a session.
    EndSession {
        /// The session.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// Why.
        why: SessionEnd,
    },
    /// Take a lock, or renew it.
    AcquireLock {
        /// Who is to hold it.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// What to lock.
        on: LockPath,
        /// Take it away from who holds it.
        force: bool,
        /// How long it is held without being renewed.
        ttl_ms: u64,
    },
    /// Hold a lock for longer.
    RenewLock {
        /// The lock.
        lock: LockId,
        /// Who asks.
        principal: Principal,
        /// How long it is held without being renewed again.
        ttl_ms: u64,
    },
    /// Give a lock back.
    ReleaseLock {
        /// Who holds it.
        session: SessionId,
        /// Who asks.
        principal: Principal,
        /// Which one.
        which: WhichLock,
    },
    /// Register an agent, or give it a new token.
    RegisterAgent {
        /// The agent.
        agent: AgentId,
        /// Which kind it is.
        agent_type: String,
        /// Its role.
        role: Role,
        /// Who asks.
        by: Principal,
        /// The digest of its token.
        token_sha256: String,
        /// Until when the token is good.
        expires_at: Timestamp,
    },
    /// An agent says that it lives.
    Heartbeat {
        /// The agent.
        agent: AgentId,
    },
    /// An agent tells of tokens that it used.
    ReportTokens {
        /// The agent.
        agent: AgentId,
        /// How many.
        tokens: u64,
    },
    /// The daemon was started anew: no connection of before is there any more.
    EndConnections,
    /// A file was written.
    NoteWritten {
        /// By which session.
        session: SessionId,
        /// The files with their digests, in order.
        files: Vec<(String, Option<String>)>,
    },
    /// A tree was committed.
    NoteCommitted {
        /// By which session.
        session: SessionId,
        /// The commit.
        commit: CommitId,
    },
    /// A branch was pushed.
    NotePushed {
        /// By which session.
        session: SessionId,
        /// The remote's name.
        remote: String,
        /// The branch.
        branch: String,
    },
    /// The daemon's key was replaced.
    NoteKeyRotated,
    /// Something about the work graph.
    Graph {
        /// Who asks.
        principal: Principal,
        /// What fits one slice.
        limits: SliceLimits,
        /// What.
        command: Box<GraphCommand>,
    },
    /// About the work of sessions.
    Work(WorkCommand),
}

/// A lock, by one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichLock {
    /// By what it locks, whatever kind it is.
    On(LockPath),
    /// By its id.
    Id(LockId),
}

/// What is submitted, beside the task's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which agent does it.
    pub agent_type: String,
    /// Who submits it.
    pub by: Principal,
    /// What is handed along.
    pub metadata: serde_json::Value,
}
