//! What goes over a connection; `docs/protocol.md` has it byte by byte.
//!
//! Bytes become frames ([`framing`]), the first of them are the [`handshake`], the others are
//! [`signed`], and their bodies are calls and answers in one of two envelopes ([`envelope`]).
//! Nothing here reads a socket, a file, a clock or chance, so that client, daemon and tests use
//! the same code.

pub mod envelope;
pub mod framing;
pub mod handshake;
pub mod header;
pub mod key;
pub mod sign_in;
pub mod signed;
pub mod strict_json;

use serde::{Deserialize, Serialize};

pub use envelope::{Call, CallId, Envelope};
pub use framing::{Decoder, FrameError, Framing, MAX_ANSWER_BYTES, MAX_REQUEST_BYTES};
pub use handshake::AuthError;
pub use key::Key;

use crate::{AttemptId, Line, RunId, TaskId};

/// The version of the protocol.
pub const PROTOCOL: &str = "1.0";

/// What the daemon sends without being asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
pub enum Notice {
    /// An event, as it is printed by `--format jsonl`.
    Event(Box<Line>),
    /// What an agent does at this moment. Not kept, and dropped for slow readers.
    Activity(Activity),
    /// The reader was too slow: events after `seq` were not sent. Subscribe again from there.
    Gap {
        /// The last position that was sent.
        seq: u64,
    },
    /// Every event of the topics up to `seq` was sent. It follows a subscription with `since`.
    #[serde(rename = "pubsub.caughtUp")]
    CaughtUp {
        /// The position at which the subscription was answered.
        seq: u64,
    },
}

/// What an agent does at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Activity {
    /// The run.
    pub run: RunId,
    /// The task; absent for the planner.
    pub task: Option<TaskId>,
    /// The attempt.
    pub attempt: Option<AttemptId>,
    /// One sanitised line.
    pub text: String,
    /// Tokens used so far in this attempt.
    pub tokens: u64,
}
