//! Answers that need no daemon: where things are, what is installed, what is configured. The
//! daemon's crate computes them; the command prints them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Address;

/// Where a repository and its daemon are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The top of the work tree that the user is in.
    pub work_tree: PathBuf,
    /// The common git directory.
    pub common_dir: PathBuf,
    /// Where the state is: database, hub, logs, artifacts.
    pub state_dir: PathBuf,
    /// Where the daemon listens, and what lets a client in.
    pub daemon: Address,
    /// Where the daemon writes its own log.
    pub daemon_log: PathBuf,
}

/// What `cxo doctor` finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DoctorReport {
    /// One per thing that was looked at.
    pub items: Vec<DoctorItem>,
}

/// One thing that the doctor looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DoctorItem {
    /// What it is: `git`, `codex`, `sandbox` …
    pub name: String,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub detail: String,
    /// A command, or a sentence, that mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Runs work, with something less than there could be.
    Weak,
    /// Runs cannot work.
    Bad,
}

/// What `cxo config show` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfigReport {
    /// Every key in force, sorted.
    pub entries: Vec<ConfigEntry>,
}

/// A setting and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConfigEntry {
    /// The key: `run.jobs`.
    pub key: String,
    /// Its value, as JSON.
    pub value: serde_json::Value,
    /// `default`, a file with a line, `CXO_RUN_JOBS`, or `command line`.
    pub origin: String,
}

/// What `cxo init` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InitReport {
    /// Files that were written.
    pub written: Vec<String>,
    /// Files that were there and left alone.
    pub kept: Vec<String>,
    /// What was found out about the repository: its checks, its agents.
    pub notes: Vec<String>,
}
