//! Claims: which attempt may say how a task goes on. Every claim has a new attempt, numbered by a
//! fence that only ever grows, so that what an earlier holder says late is told apart from what
//! the present one says.

use cxo_protocol::{AttemptId, AttemptRole, EffectId, Timestamp};

/// The right of one attempt to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The attempt that holds it.
    pub attempt: AttemptId,
    /// Who the agent is.
    pub role: AttemptRole,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Whether the agent has named its thread since.
    pub thread: ClaimedThread,
}

/// What is known about the thread of a claim's holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimedThread {
    /// The agent has not named it: one that was to be gone on with may not exist any more.
    Unconfirmed,
    /// The agent has named it.
    Confirmed,
}

impl Claim {
    /// A fresh claim.
    pub fn new(attempt: AttemptId, role: AttemptRole, taken_at: Timestamp) -> Self {
        Self { attempt, role, taken_at, thread: ClaimedThread::Unconfirmed }
    }

    /// The effect by which the holder works.
    pub fn effect(&self) -> EffectId {
        self.attempt.effect()
    }
}
