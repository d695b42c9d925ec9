//! Why what is shared stays as it is.

use cxo_protocol::{AgentId, LockId, SessionId, TaskId, Timestamp};

use super::graph::GraphRejected;
use super::{MAX_REPORT, WorkRejected};

/// Why a command about what is shared changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedRejected {
    /// There is no session of that name.
    #[error("there is no session {session}")]
    NoSession {
        /// The session.
        session: SessionId,
    },
    /// A session of that name belongs to somebody else, or works on another tree.
    #[error("the session {session} is taken")]
    SessionTaken {
        /// The session.
        session: SessionId,
    },
    /// The session is somebody else's.
    #[error("the session {session} is not the caller's")]
    NotYours {
        /// The session.
        session: SessionId,
    },
    /// Somebody else holds an overlapping lock.
    #[error("{path} is locked by {holder}")]
    Locked {
        /// What is locked.
        path: String,
        /// By whom.
        holder: SessionId,
        /// When the lock ends by itself.
        expires_at: Timestamp,
    },
    /// The session does not hold that lock (any more).
    #[error("the session {session} does not hold that lock")]
    NotHeld {
        /// The session.
        session: SessionId,
    },
    /// Only the user may take a lock away.
    #[error("only the user may take a lock away from another session")]
    ForceDenied,
    /// There are as many as there may be.
    #[error("there are {limit} {what} already, which is the most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be, or how many may be the caller's.
        limit: usize,
        /// When the next one is free by itself, if time does that.
        free_at: Option<Timestamp>,
    },
    /// There is no agent of that name.
    #[error("there is no agent {agent}")]
    NoAgent {
        /// The agent.
        agent: AgentId,
    },
    /// The report cannot be true.
    #[error("a report counts at most {MAX_REPORT} tokens")]
    AbsurdReport,
    /// The tokens are used up, or set aside for turns that go on.
    #[error("the token budget is used up: {used} used and {reserved} set aside of {limit}")]
    OverBudget {
        /// Used.
        used: u64,
        /// Set aside.
        reserved: u64,
        /// The limit that is met.
        limit: u64,
    },
    /// A task of that name was submitted before.
    #[error("a task {task} was submitted before")]
    TaskExists {
        /// The task.
        task: TaskId,
    },
    /// No task of that name was submitted.
    #[error("no task {task} was submitted")]
    NoTask {
        /// The task.
        task: TaskId,
    },
    /// The task is at its end.
    #[error("the task {task} is at its end")]
    TaskOver {
        /// The task.
        task: TaskId,
    },
    /// It is about the work graph.
    #[error(transparent)]
    Graph(#[from] GraphRejected),
    /// The lock is not held (any more).
    #[error("nobody holds the lock {lock}")]
    NoLock {
        /// The lock.
        lock: LockId,
    },
    /// About the work of sessions.
    #[error(transparent)]
    Work(#[from] WorkRejected),
}
