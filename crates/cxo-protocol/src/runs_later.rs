//! Files that something executes later: a work that changes one of them runs code where no sandbox
//! of ours is. Which files these are is decided where works are merged.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most files that are named of one pattern; more of them are told by their number. So many
/// files of one kind are no place to hide one of another kind behind.
pub const MAX_NAMED: usize = 10;

/// The files of a work that something executes later. Empty for most works.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunsLater {
    /// Of each pattern the first [`MAX_NAMED`], in the order of their names.
    pub files: Vec<LaterFile>,
    /// How many there are beyond those, pattern by pattern.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<LaterMore>,
}

/// Files of one pattern that are not named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LaterMore {
    /// What they are known by: `.agents/`.
    pub pattern: String,
    /// What executes them.
    pub by: RunBy,
    /// How many they are.
    pub count: u64,
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
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
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
        self.files.is_empty() && self.more.is_empty()
    }

    /// Whether who was shown these was shown all of `other`, too. Files that are not named are as
    /// good as shown if they are no more of their pattern.
    pub fn covers(&self, other: &Self) -> bool {
        let is_told = |more: &LaterMore| {
            let same = |own: &&LaterMore| own.pattern == more.pattern && own.by == more.by;
            self.more.iter().find(same).is_some_and(|own| more.count <= own.count)
        };
        other.files.iter().all(|file| self.files.contains(file)) && other.more.iter().all(is_told)
    }
}

/// `.envrc (shell), .agents/a.md (agents), 3 more of .agents/ (agents)`.
impl fmt::Display for RunsLater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for file in &self.files {
            write!(f, "{between}{} ({})", file.path, file.by.label())?;
            between = ", ";
        }
        for more in &self.more {
            write!(f, "{between}{} more of {} ({})", more.count, more.pattern, more.by.label())?;
            between = ", ";
        }
        Ok(())
    }
}
