//! Files that something executes later: a work that changes one of them runs code where no sandbox
//! of ours is. Which files these are is decided where works are merged.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most files that are named; a work that changes more of them is told by their number.
pub const MAX_NAMED: usize = 100;

/// The files of a work that something executes later. Empty for most works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunsLater {
    /// The first [`MAX_NAMED`] of them, in the order of their names.
    pub files: Vec<LaterFile>,
    /// How many there are beyond those.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// A file that something executes later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LaterFile {
    /// Relative to the repository's root, sanitised.
    pub path: String,
    /// What executes it.
    pub by: RunBy,
}

/// What executes a file later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunBy {
    /// A service that builds and tests what is pushed.
    Ci,
    /// The shell of whoever enters the directory.
    Shell,
    /// The editor of whoever opens the directory.
    Editor,
    /// Git: drivers, submodules, hooks.
    Git,
    /// A package manager, when it installs.
    PackageManager,
    /// A build tool, whatever it builds.
    BuildTool,
    /// An agent, which takes it for its instructions or its settings.
    Agent,
    /// This program: the checks, set-up commands and agents of the repository.
    Orchestrator,
}

impl RunBy {
    /// What executes it, for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ci => "CI",
            Self::Shell => "shell",
            Self::Editor => "editor",
            Self::Git => "git",
            Self::PackageManager => "package manager",
            Self::BuildTool => "build tool",
            Self::Agent => "agents",
            Self::Orchestrator => "cxo",
        }
    }
}

impl RunsLater {
    /// Whether there is no such file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.more == 0
    }
}

/// `.envrc (shell), .github/workflows/ci.yml (CI) and 3 more`.
impl fmt::Display for RunsLater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{} ({})", file.path, file.by.label())?;
        }
        if self.more > 0 {
            write!(f, " and {} more", self.more)?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
