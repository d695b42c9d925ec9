//! The format of script files, and the scripts that they become once checked. Knows no wire format
//! and decides nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::TestkitError;

mod file;
mod load;

/// How many tokens a reply says it took, unless the script says otherwise: round numbers, so that
/// a test can add them up in its head.
pub const DEFAULT_USAGE: UsageFigures = UsageFigures {
    input_tokens: 100,
    cached_input_tokens: 40,
    output_tokens: 10,
    reasoning_tokens: 2,
};

/// All scripts that a server knows, in the order of their files' names and then as written.
#[derive(Debug, Clone, Default)]
pub struct Scripts {
    pub(crate) list: Vec<Script>,
}

/// One script: what the model does in each turn.
#[derive(Debug, Clone)]
pub struct Script {
    /// The name that a marker gives.
    pub name: String,
    /// The role that the prompt must have; absent means a worker, or a prompt without a role.
    pub role: Option<String>,
    /// Text that the prompt must contain.
    pub when_prompt_contains: Option<String>,
    /// Whether it is taken when no marker fits.
    pub default: bool,
    /// The turns; later turns than these repeat the last.
    pub turns: Vec<Vec<Step>>,
}

/// One thing that the model does, and what goes before it.
#[derive(Debug, Clone)]
pub struct Step {
    /// What it does. Each action becomes exactly one item of the conversation.
    pub action: Action,
    /// Reasoning that is shown before it.
    pub reasons: Vec<String>,
    /// Faults that come before it, in order.
    pub faults: Vec<FaultRule>,
    /// Only done when the turn's prompt contains this.
    pub when_prompt_contains: Option<String>,
    /// How long the server waits before it.
    pub delay_for: Duration,
    /// A gate that must be opened before it.
    pub gate: Option<String>,
    /// What the reply says it took.
    pub usage: Option<UsageFigures>,
}

/// What the model does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Says something; ends the turn when it is the last step.
    Say(String),
    /// Answers with a JSON document; ends the turn when it is the last step.
    Json(Value),
    /// Runs a shell command line.
    Run(String),
    /// Applies a patch in the agent's own format.
    Patch(String),
    /// Writes a whole file.
    Write {
        /// Relative to the workspace.
        path: String,
        /// All of it.
        content: String,
    },
    /// Calls a tool of an MCP server that the agent knows.
    Mcp(McpCall),
    /// Appends to a file.
    Append {
        /// Relative to the workspace.
        path: String,
        /// What is added at the end.
        content: String,
    },
}

/// A call of a tool of an MCP server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpCall {
    /// The server, by the name under which the agent knows it.
    pub server: String,
    /// The tool.
    pub tool: String,
    /// What it is given.
    #[serde(default)]
    pub arguments: serde_json::Map<String, Value>,
}

/// Tokens that a reply says it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageFigures {
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// The part of them that was cached.
    pub cached_input_tokens: u64,
    /// Tokens received, reasoning included.
    pub output_tokens: u64,
    /// The part of them that was reasoning.
    pub reasoning_tokens: u64,
}

impl Default for UsageFigures {
    fn default() -> Self {
        DEFAULT_USAGE
    }
}

/// A fault and how often it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// What goes wrong.
    pub fault: Fault,
    /// How often, before the script goes on; absent means always.
    pub times: Option<u32>,
    /// What the count is kept for.
    pub scope: FaultScope,
    /// Where it stands in the script: turn and step as written, from 1. Part of the count's key.
    pub place: (usize, usize),
}

/// What a fault's count is kept for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultScope {
    /// Each thread meets the fault.
    #[default]
    Thread,
    /// Whichever threads come first meet the fault.
    Script,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An answer with an error status and body instead of a stream.
    Status(StatusFault),
    /// The stream begins and then says that the response failed.
    Failed {
        /// The provider's code.
        code: String,
        /// The provider's words.
        message: String,
    },
    /// The request is read and never answered.
    HangBeforeHeaders,
    /// Headers come, and then nothing.
    HangAfterHeaders,
    /// The stream ends in good order after some events, without the last one.
    Truncated {
        /// How many events are sent.
        after_events: usize,
    },
    /// After some events, something that is no JSON; then the stream ends.
    Malformed {
        /// How many good events are sent.
        after_events: usize,
    },
    /// The connection is reset after some events; before the headers when it is 0.
    Reset {
        /// How many events are sent.
        after_events: usize,
    },
    /// The right answer, a few bytes at a time.
    Slow {
        /// The pause between two pieces.
        pause_for: Duration,
        /// How many bytes a piece has.
        chunk_bytes: usize,
    },
}

/// An error status with its headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFault {
    /// The HTTP status.
    pub status: u16,
    /// The provider's type of error.
    pub kind: String,
    /// The provider's words.
    pub message: String,
    /// Fields of the error beside `type` and `message`.
    pub fields: BTreeMap<String, Value>,
    /// Headers of the answer.
    pub headers: BTreeMap<String, String>,
}

impl Scripts {
    /// Reads one script file, or all of a directory in the order of their names.
    pub fn load(path: &Path) -> Result<Self, TestkitError> {
        load::load(path)
    }

    /// Reads scripts from TOML text, for tests that keep theirs inline.
    pub fn from_toml(text: &str) -> Result<Self, TestkitError> {
        load::from_toml(Path::new("(inline)"), text)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|script| script.name.as_str())
    }

    /// Adds other scripts after these.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }
}
