//! What comes out of reading an agent: events while it works, one conclusion at its end.

use cxo_protocol::{AgentFailure, Timestamp, Usage};
use serde::{Deserialize, Serialize};

/// Turns the bytes of one attempt into events and a conclusion.
pub trait OutputReader {
    /// Takes the next bytes of standard output, cut anywhere.
    fn feed(&mut self, stdout: &[u8]) -> Vec<AgentEvent>;

    /// Concludes. `stderr_tail` is the end of standard error, for the words of a failure only.
    fn finish(self: Box<Self>, end: &ProcessEnd, stderr_tail: &str) -> Conclusion;
}

/// Something that an agent did, in the words of no particular agent. All text is sanitised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AgentEvent {
    /// The conversation has a name, by which it can be resumed.
    ThreadStarted {
        /// The agent's id of the thread.
        thread: String,
    },
    /// What it is doing, in one short line: `editing src/x.rs`.
    Activity {
        /// The line.
        text: String,
    },
    /// What it said.
    Message {
        /// Its words, in lines.
        text: String,
    },
    /// What the thread has used until now, this attempt and all before it.
    UsageTotal {
        /// The count over the whole thread.
        cumulative: Usage,
    },
    /// A call failed and is tried again by the agent itself.
    Retrying {
        /// Why, in its words.
        message: String,
    },
}

/// How a process ended, as its supervisor saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEnd {
    /// The exit code, absent when a signal ended it or nothing is known.
    pub code: Option<i32>,
    /// The signal, absent when it exited.
    pub signal: Option<i32>,
    /// What brought the end about.
    pub cause: EndCause,
    /// When it ended: times in the agent's words are relative to it.
    pub ended_at: Timestamp,
}

/// What brought the end of a process about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// Its own doing, or a signal from elsewhere.
    Itself,
    /// Our watchdog: no output for this long.
    Silence {
        /// The limit.
        limit_ms: u64,
    },
    /// Our watchdog: it ran for this long.
    WallClock {
        /// The limit.
        limit_ms: u64,
    },
    /// Our watchdog: it wrote this much.
    LogLimit {
        /// The limit.
        limit_bytes: u64,
    },
    /// It was cancelled.
    Cancelled,
    /// It was lost together with its supervisor.
    Lost,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conclusion {
    /// Whether the turn was completed, which needs the exit status and the agent's own structured
    /// word; what the agent says in prose counts for nothing.
    pub outcome: Outcome,
    /// What this attempt used, already made incremental.
    pub usage: Usage,
    /// The thread to go on with.
    pub thread: Option<String>,
    /// Lines of output that were not understood: unknown events, broken or oversized lines.
    pub ignored_lines: u64,
}

/// Whether a turn was completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was.
    Completed {
        /// The last message, sanitised.
        message: String,
        /// The last message as data, where that was asked for and given.
        structured: Option<serde_json::Value>,
    },
    /// It was not.
    Failed(AgentFailure),
}

impl ProcessEnd {
    /// The failure that the supervisor's own knowledge implies; none when the process ended by
    /// itself, with or without success.
    pub fn imposed_failure(&self) -> Option<AgentFailure> {
        match self.cause {
            EndCause::Itself => None,
            EndCause::Silence { limit_ms } => Some(AgentFailure::Silent { limit_ms }),
            EndCause::WallClock { limit_ms } => Some(AgentFailure::TimedOut { limit_ms }),
            EndCause::LogLimit { limit_bytes } => Some(AgentFailure::LogLimit { limit_bytes }),
            EndCause::Cancelled => Some(AgentFailure::Exited {
                code: self.code,
                signal: self.signal,
                message: "cancelled".to_owned(),
            }),
            EndCause::Lost => Some(AgentFailure::Lost),
        }
    }
}
