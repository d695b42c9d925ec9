//! Checks (commands that prove a tree) and receipts (what they proved).

use serde::{Deserialize, Serialize};

use crate::TreeId;

/// A command that proves a tree by its exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum CheckCommand {
    /// Run by `sh -c`, as CI systems do.
    Shell(String),
    /// Run as it is, without a shell.
    Argv(Vec<String>),
}

impl CheckCommand {
    /// The command as one line for people.
    pub fn line(&self) -> String {
        match self {
            Self::Shell(line) => line.clone(),
            Self::Argv(words) => words.join(" "),
        }
    }
}

/// What one check said about one tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Receipt {
    /// The exact content that was checked.
    pub tree: TreeId,
    /// The command as one line.
    pub command: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_for_ms: u64,
    /// Lines of its output that say why it failed, sanitised; empty when it passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing_lines: Vec<String>,
    /// Where the whole output is, relative to the state directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verdict {
    /// Exit code 0.
    Passed,
    /// Another exit code.
    Failed {
        /// The exit code; absent when a signal ended it.
        code: Option<i32>,
    },
    /// Ended at its time limit.
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// The command does not exist or could not be started.
    NotStarted,
}

impl Receipt {
    /// Whether the tree passed.
    pub fn passed(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}
