//! Why an agent cannot be started. Each message says what, why and what to do next, and none of
//! them repeats a value of the environment. (G23)

use std::path::PathBuf;

/// Why an agent cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The Codex CLI is not installed.
    #[error(
        "agent `{agent}`: there is no program `codex` in PATH; install it with \
         `npm install -g @openai/codex`, or set `agents.{agent}.program`"
    )]
    CodexMissing {
        /// The agent's name in the configuration.
        agent: String,
    },
    /// The configured program does not exist or cannot be executed.
    #[error(
        "agent `{agent}`: the program {} is not there or cannot be executed; \
         correct `agents.{agent}.program`", program.display()
    )]
    ProgramMissing {
        /// The agent's name in the configuration.
        agent: String,
        /// The program as configured.
        program: PathBuf,
    },
    /// A command agent without a command.
    #[error("agent `{agent}`: kind \"command\" needs a program; set `agents.{agent}.program`")]
    NoProgram {
        /// The agent's name in the configuration.
        agent: String,
    },
    /// A terminal for an agent that speaks by lines.
    #[error(
        "agent `{agent}`: kind \"codex\" speaks by lines of JSON and gets no terminal; \
         remove `agents.{agent}.terminal`"
    )]
    NoTerminal {
        /// The agent's name in the configuration.
        agent: String,
    },
    /// A name in braces that stands for nothing.
    #[error(
        "agent `{agent}`: `{{{placeholder}}}` in `agents.{agent}.args` stands for nothing{}; \
         known are `{{prompt_file}}`, `{{task_file}}` and `{{workspace}}`, and `{{{{` is a brace",
        suggestion.map(|name| format!(", did `{{{name}}}` get a typing mistake?")).unwrap_or_default()
    )]
    UnknownPlaceholder {
        /// The agent's name in the configuration.
        agent: String,
        /// The name between the braces, escaped.
        placeholder: String,
        /// The known name that is nearest.
        suggestion: Option<&'static str>,
    },
    /// A brace that is not closed, or closes nothing.
    #[error(
        "agent `{agent}`: argument {position} of `agents.{agent}.args` has a single `{brace}`; \
         write `{brace}{brace}` for the character itself"
    )]
    LoneBrace {
        /// The agent's name in the configuration.
        agent: String,
        /// Which argument, from 1.
        position: usize,
        /// `{` or `}`.
        brace: char,
    },
    /// A variable that is set by the orchestrator itself.
    #[error(
        "agent `{agent}`: `{variable}` in `agents.{agent}.env` is set for every attempt and \
         cannot be configured; remove it"
    )]
    ReservedVariable {
        /// The agent's name in the configuration.
        agent: String,
        /// The variable.
        variable: String,
    },
    /// A name or a value that no environment can hold.
    #[error(
        "agent `{agent}`: the name `{variable}` in `agents.{agent}.env` or its value cannot be in \
         an environment (empty name, `=`, or a NUL); correct it"
    )]
    InvalidVariable {
        /// The agent's name in the configuration.
        agent: String,
        /// The variable, escaped.
        variable: String,
    },
    /// The user's own configuration of Codex cannot be understood.
    #[error("the Codex configuration {} is not valid TOML: {reason}; correct it", path.display())]
    CodexConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that an agent cannot be given as an argument.
    #[error("the path {} is not UTF-8 and cannot be given to an agent; move it", path.display())]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A file that the agent needs could not be written.
    #[error("cannot prepare {} for the agent: {source}; nothing was started", path.display())]
    Files {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}
