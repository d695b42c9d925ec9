//! What goes over a connection: JSON-RPC 2.0, one JSON text per line.
//!
//! The daemon speaks first ([`Hello`]), so that a client knows the daemon's version before it asks
//! anything. Events are notifications of the method `event`, live activity of `activity`.

pub mod strict_json;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{AttemptId, Line, Problem, RunId, TaskId};

/// The longest line that is read. A goal of 1 MiB and its plan must fit a request.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// The version of the protocol.
pub const PROTOCOL: &str = "1.0";

/// A request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// Comes back with the answer.
    pub id: u64,
    /// The method.
    pub method: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Value,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// Always `2.0`.
    pub jsonrpc: String,
    /// The request's.
    pub id: Option<u64>,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReply>,
}

/// An error on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorReply {
    /// The JSON-RPC code.
    pub code: i32,
    /// What happened.
    pub message: String,
    /// All that a person is told.
    pub data: Problem,
}

impl From<Problem> for ErrorReply {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code.rpc(), message: problem.message.clone(), data: problem }
    }
}

/// What the daemon sends without being asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", rename_all = "snake_case")]
pub enum Notice {
    /// The first line of a connection.
    Hello(Hello),
    /// An event, as it is printed by `--format jsonl`.
    Event(Box<Line>),
    /// What an agent does at this moment. Not kept, and dropped for slow readers.
    Activity(Activity),
    /// The reader was too slow: events after `seq` were not sent. Subscribe again from there.
    Gap {
        /// The last position that was sent.
        seq: u64,
    },
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The daemon's version.
    pub version: String,
    /// The protocol's.
    pub protocol: String,
    /// The daemon's process id.
    pub pid: u32,
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

/// A line from the daemon: a notice or an answer.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Set on notices.
    pub method: Option<&'a str>,
    /// Of a notice.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
    /// Set on answers.
    pub id: Option<u64>,
    /// Of an answer.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// Of an answer.
    pub error: Option<ErrorReply>,
}
