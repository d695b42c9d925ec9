//! The lines of `codex exec --json`, as far as they are used. Unknown types and fields are
//! expected: Codex adds some with every version.

use cxo_protocol::Usage;
use serde::Deserialize;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub(super) enum CodexLine {
    #[serde(rename = "thread.started")]
    ThreadStarted { thread_id: String },
    #[serde(rename = "turn.started")]
    TurnStarted,
    #[serde(rename = "item.started")]
    ItemStarted { item: Item },
    #[serde(rename = "item.updated")]
    ItemUpdated { item: Item },
    #[serde(rename = "item.completed")]
    ItemCompleted { item: Item },
    #[serde(rename = "turn.completed")]
    TurnCompleted {
        #[serde(default)]
        usage: TokenUsage,
    },
    #[serde(rename = "turn.failed")]
    TurnFailed { error: ErrorText },
    #[serde(rename = "error")]
    Error { message: String },
    #[serde(other)]
    Unknown,
}

/// Something that the agent did or said.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    AgentMessage {
        text: String,
    },
    Reasoning,
    CommandExecution {
        command: String,
    },
    FileChange {
        #[serde(default)]
        changes: Vec<FileChange>,
    },
    McpToolCall {
        #[serde(default)]
        server: String,
        #[serde(default)]
        tool: String,
    },
    WebSearch {
        #[serde(default)]
        query: String,
    },
    TodoList {
        #[serde(default)]
        items: Vec<Todo>,
    },
    Error {
        message: String,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
pub(super) struct FileChange {
    pub(super) path: String,
    #[serde(default)]
    pub(super) kind: ChangeKind,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeKind {
    Add,
    Delete,
    #[default]
    #[serde(other)]
    Update,
}

#[derive(Debug, Deserialize)]
pub(super) struct Todo {
    #[serde(default)]
    pub(super) completed: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct ErrorText {
    pub(super) message: String,
}

/// A count of tokens as Codex writes it, in its events and in its record of a thread.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the names are those of the wire")]
pub(super) struct TokenUsage {
    #[serde(deserialize_with = "count")]
    input_tokens: u64,
    #[serde(deserialize_with = "count")]
    cached_input_tokens: u64,
    #[serde(deserialize_with = "count")]
    output_tokens: u64,
    #[serde(deserialize_with = "count")]
    reasoning_output_tokens: u64,
}

/// Codex counts in signed numbers; a negative one is no use of anything. (G26)
fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    Ok(number.as_u64().unwrap_or(0))
}

impl From<TokenUsage> for Usage {
    fn from(usage: TokenUsage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            cached_input_tokens: usage.cached_input_tokens,
            output_tokens: usage.output_tokens,
            reasoning_tokens: usage.reasoning_output_tokens,
        }
    }
}
