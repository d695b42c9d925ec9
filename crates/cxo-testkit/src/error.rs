//! The one error type of this crate. It knows no HTTP and no agent, only what went wrong where.

use std::path::PathBuf;

/// Why something of the test kit could not be done.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    /// A file or directory could not be read, written or opened.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A script file is not what the format allows.
    #[error("script file {path} is refused: {reason}")]
    ScriptFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A script says something that cannot be carried out.
    #[error("script `{script}`, turn {turn}, step {step} is refused: {reason}")]
    Step {
        /// The script's name.
        script: String,
        /// The turn, counted from 1.
        turn: usize,
        /// The step as written, counted from 1.
        step: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A directory of scripts holds none.
    #[error("no script in {path}: put a .toml or .json file with a [[script]] there")]
    NoScripts {
        /// The directory.
        path: PathBuf,
    },
    /// The server could not be brought up.
    #[error("the scripted model cannot listen on 127.0.0.1:{port}: {source}")]
    Listen {
        /// The port that was asked for; 0 is any.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
    /// No Codex CLI to test with.
    #[error(
        "the tests need the Codex CLI {version}, and {reason}; nothing was run. Type: tools/install-codex"
    )]
    NoCodex {
        /// The version that is pinned.
        version: &'static str,
        /// What was looked at, and what was found there.
        reason: String,
    },
    /// A scripted agent's line cannot be understood.
    #[error("line `{line}` of the agent's script is refused: {reason}")]
    AgentLine {
        /// The line.
        line: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Something that an invariant is about could not be looked at.
    #[error("cannot check {what}: {reason}")]
    Unchecked {
        /// What.
        what: String,
        /// Why not.
        reason: String,
    },
}
