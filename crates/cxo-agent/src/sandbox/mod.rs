//! What an agent and its checks may write to, may not read, and may reach.
//!
//! The policy is a value that travels with a start. It is applied by a tiny program that confines
//! itself and then becomes the agent ([`confine_and_exec`]), because a supervisor that confined
//! itself could not serve the next agent. This module knows Landlock, mounts and `exec`; it must not
//! know supervisors, agents or workspaces.

mod beside;
mod confine;
mod hidden;
mod hiding;
mod probe;
mod sys;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use confine::confine_and_exec;
pub(crate) use confine::wrapped_args;
pub use hidden::Hidden;
pub use probe::{SandboxSupport, probe, probe_hiding};

/// What a process may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sandbox {
    /// Everything that the user may.
    #[default]
    None,
    /// Everything that the user may, but for what is hidden: for agents that confine what they run,
    /// and by mounts, which nobody makes who is confined by Landlock.
    Hiding {
        /// What it may not read.
        hidden: Hidden,
        /// Arguments that have the agent hide it, put before all others where the system does not
        /// let us.
        otherwise: Vec<String>,
    },
    /// Read everything but what is hidden, write only where it is said, signal nobody outside.
    WorkspaceWrite {
        /// The directories and files below which it may write. All of them must exist. The usual
        /// harmless devices, the process's own terminal and shared memory are added; other terminals
        /// and a temporary directory are not.
        writable: Vec<PathBuf>,
        /// What it may not read. Names can still be listed. What others put directly into a
        /// directory above one of the places after the start cannot be read either.
        #[serde(default)]
        hidden: Hidden,
        /// What it may reach.
        network: Network,
        /// What happens where the system has no such protection.
        without: Without,
    },
}

/// What a confined process may reach by TCP. Other protocols cannot be confined by Landlock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Everything.
    Allowed,
    /// Connections to these ports only, and none accepted. Empty for no TCP at all.
    ConnectOnly(Vec<u16>),
}

/// What to do about a protection that the system does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Without {
    /// Start nothing.
    Refuse,
    /// Start it with as much of the protection as there is: the user allowed it. Any other reason
    /// why it cannot be confined still starts nothing.
    RunUnconfined,
}

/// Why a process could not be confined. It was not run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The helper was called in another way than the supervisor calls it.
    #[error("not a confinement: {detail}. This command is for the supervisor's own use")]
    BadCall {
        /// What was wrong.
        detail: String,
    },
    /// A path of the policy cannot be opened.
    #[error("the sandbox cannot let the agent write to {path}: {reason}")]
    BadPath {
        /// The path.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The system has no such protection.
    #[error("the sandbox is not to be had here: {reason}")]
    NotToBeHad {
        /// What is missing.
        reason: String,
    },
    /// The system has the protection and did not take the rules.
    #[error("the sandbox could not be set up: {reason}")]
    NotApplied {
        /// What the system said.
        reason: String,
    },
    /// The program could not be run after it was confined.
    #[error("{program} could not be run: {source}")]
    NotRun {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
