//! The `[agents.NAME]` table of the configuration, as plain data.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One agent as the configuration describes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// The `NAME` of `[agents.NAME]`; the table itself need not repeat it.
    #[serde(default)]
    pub name: String,
    /// Which adapter speaks with it.
    pub kind: AgentKind,
    /// The program: an absolute path, or a name that is looked up in the user's `PATH`. Codex is
    /// found by itself; a command needs it. Whoever reads the configuration makes a relative path
    /// absolute, from the directory of the repository and not of a workspace: what an agent may
    /// write is not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<PathBuf>,
    /// The model to ask for, where the agent knows models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Further arguments. For a command: all of them, with `{prompt_file}`, `{task_file}` and
    /// `{workspace}` filled in.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables for this agent. A value `$NAME` is taken from the user's environment (and left
    /// out if it is not set there), so that a key need not be written down; `$$` begins a literal `$`.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where the agent may write.
    #[serde(default)]
    pub sandbox: SandboxMode,
    /// What a command works on. Codex is never given a terminal: it speaks by lines of JSON.
    #[serde(default)]
    pub terminal: Terminal,
}

/// Whether an agent works on a terminal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub enum Terminal {
    /// Its input is empty, and its output goes to files.
    #[default]
    None,
    /// It has a terminal of its own.
    Own,
}

impl From<bool> for Terminal {
    fn from(is_wanted: bool) -> Self {
        if is_wanted { Self::Own } else { Self::None }
    }
}

impl From<Terminal> for bool {
    fn from(terminal: Terminal) -> Self {
        terminal == Terminal::Own
    }
}

/// Which adapter speaks with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AgentKind {
    /// The Codex CLI, by `codex exec --json`.
    Codex,
    /// Any program: the prompt in a file, the result = exit status and workspace.
    Command,
}

/// Where an agent may write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Its workspace and temporary files only.
    #[default]
    WorkspaceWrite,
    /// Wherever the user may.
    None,
}

impl AgentSettings {
    /// Codex as it is without any configuration.
    pub fn codex(name: &str) -> Self {
        Self::of_kind(name, AgentKind::Codex)
    }

    /// A command agent that runs `program`.
    pub fn command(name: &str, program: PathBuf) -> Self {
        Self { program: Some(program), ..Self::of_kind(name, AgentKind::Command) }
    }

    fn of_kind(name: &str, kind: AgentKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            program: None,
            model: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            sandbox: SandboxMode::default(),
            terminal: Terminal::default(),
        }
    }
}

impl fmt::Debug for AgentSettings {
    /// Arguments and values may hold keys: only their number and names are shown. (G23)
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentSettings")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("program", &self.program)
            .field("model", &self.model)
            .field("args", &self.args.len())
            .field("env", &self.env.keys())
            .field("sandbox", &self.sandbox)
            .field("terminal", &self.terminal)
            .finish()
    }
}
