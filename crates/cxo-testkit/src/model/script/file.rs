//! Script files as they are written: what serde reads. Each field is named as authors write it;
//! what they mean together is checked in `load`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{FaultScope, McpCall, UsageFigures};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptFile {
    #[serde(default, rename = "script")]
    pub(super) scripts: Vec<ScriptEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptEntry {
    pub(super) name: String,
    pub(super) role: Option<String>,
    pub(super) when_prompt_contains: Option<String>,
    #[serde(default)]
    pub(super) default: bool,
    /// Short for a first turn.
    #[serde(default)]
    pub(super) steps: Vec<StepEntry>,
    #[serde(default, rename = "turn")]
    pub(super) turns: Vec<TurnEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TurnEntry {
    pub(super) steps: Vec<StepEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StepEntry {
    // what is done: exactly one of these
    pub(super) say: Option<String>,
    pub(super) json: Option<Value>,
    pub(super) run: Option<String>,
    pub(super) patch: Option<String>,
    pub(super) write: Option<String>,
    pub(super) append: Option<String>,
    pub(super) mcp: Option<McpCall>,
    pub(super) reason: Option<String>,
    pub(super) fault: Option<FaultKind>,
    // with write and append
    pub(super) content: Option<String>,
    // with any of the first seven
    pub(super) when_prompt_contains: Option<String>,
    pub(super) delay_ms: Option<u64>,
    pub(super) gate: Option<String>,
    pub(super) usage: Option<UsageFigures>,
    // with fault
    pub(super) times: Option<u32>,
    pub(super) scope: Option<FaultScope>,
    pub(super) retry_after_s: Option<u64>,
    pub(super) resets_in_s: Option<u64>,
    pub(super) status: Option<u16>,
    pub(super) message: Option<String>,
    pub(super) code: Option<String>,
    pub(super) after_events: Option<usize>,
    pub(super) pause_ms: Option<u64>,
    pub(super) chunk_bytes: Option<usize>,
    pub(super) headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FaultKind {
    RateLimit,
    UsageLimit,
    Unauthorized,
    ServerError,
    UnknownModel,
    Failed,
    HangBeforeHeaders,
    HangAfterHeaders,
    Truncated,
    Malformed,
    Reset,
    Slow,
}
