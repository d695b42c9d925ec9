//! What a request says about its conversation, whichever wire format it came by. Knows no JSON and
//! no script.

use std::collections::BTreeSet;

/// A conversation as the request shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The agent's name for the thread, the same over resume; empty when it does not say.
    pub thread: String,
    /// The model that was asked for.
    pub model: String,
    /// One segment per prompt, in order.
    pub segments: Vec<Segment>,
    /// The names of the tools on offer.
    pub tools: BTreeSet<String>,
    /// Whether the answer has to follow a schema.
    pub wants_json: bool,
    /// How many items the request holds; makes call ids unique without memory.
    pub items: usize,
    /// The server's number for this request. Only for ids that must never repeat.
    pub request: u64,
    /// The command session that the last tool output reported as still running.
    pub running_session: Option<u64>,
}

/// A prompt and what the model did about it so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segment {
    /// The text of the prompt.
    pub prompt: String,
    /// Assistant messages and finished tool calls since. A call that was cut off is not counted,
    /// so the same step is played again; waiting for a running command is not counted either.
    pub done: usize,
}

const MARKER_OPENS: &str = "[[script:";
const MARKER_CLOSES: &str = "]]";
const ROLE_LINE: &str = "cxo-role:";

impl Segment {
    /// The names in `[[script:NAME]]`, in order.
    pub fn markers(&self) -> Vec<&str> {
        let mut found = Vec::new();
        let mut rest = self.prompt.as_str();
        while let Some(at) = rest.find(MARKER_OPENS) {
            rest = &rest[at + MARKER_OPENS.len()..];
            if let Some((name, after)) = rest.split_once(MARKER_CLOSES) {
                found.push(name.trim());
                rest = after;
            }
        }
        found
    }

    /// The role in the first line `cxo-role: ROLE`.
    pub fn role(&self) -> Option<&str> {
        self.prompt.lines().find_map(|line| line.trim().strip_prefix(ROLE_LINE)).map(str::trim)
    }
}
