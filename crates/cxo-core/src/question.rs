//! Questions: what only a person can decide. A task with an open question holds no slot and no
//! landing, so that everything else goes on.

use cxo_protocol::{QuestionId, Timestamp, Work, event::Topic};

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub id: QuestionId,
    /// What it is about.
    pub topic: Topic,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The work whose landing it holds up; absent if it holds up an attempt.
    pub work: Option<Work>,
}
