//! `cxo mcp`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Subcommand, ValueEnum};
use cxo_protocol::{Code, Exit, Problem};
use serde_json::json;

use crate::cli::Format;
use crate::context::{Context, this_program};
use crate::text::plain;

/// The name under which an agent knows the server.
const NAME: &str = "codex-orchestrator";

/// Variables that say where the daemon is and what it is told. Agents keep most of the environment from
/// their servers; without these another daemon would be looked for.
const PLACES: [&str; 3] = ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"];

/// Tell an agent of the MCP server
///
/// The server is `cxo serve`. How an agent keeps its servers is the agent's own: its own command is
/// run, and shown first.
#[derive(Debug, clap::Args)]
pub(crate) struct Mcp {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Have an agent know the server
    Install {
        /// The agent
        #[arg(value_enum)]
        agent: Vendor,
        /// Show the command and run nothing
        #[arg(long)]
        print: bool,
    },
}

/// Agents with a command that adds a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Vendor {
    /// The Codex CLI.
    Codex,
    /// Claude Code.
    Claude,
    /// The Gemini CLI.
    Gemini,
}

impl Vendor {
    /// The command that adds a server for this user, in every repository.
    fn command(self, program: &str, env: &[String]) -> Vec<String> {
        let env: Vec<&str> = env.iter().flat_map(|set| ["--env", set.as_str()]).collect();
        // An option that takes many words would take the name, too, if it stood before it.
        let parts: [&[&str]; 4] = match self {
            Self::Codex => [&["codex", "mcp", "add"], &env, &[NAME, "--"], &[program, "serve"]],
            Self::Claude => [
                &["claude", "mcp", "add", NAME, "--scope", "user"],
                &env,
                &["--"],
                &[program, "serve"],
            ],
            Self::Gemini => {
                [&["gemini", "mcp", "add"], &env, &["--scope", "user", NAME], &[program, "serve"]]
            }
        };
        parts.concat().into_iter().map(str::to_owned).collect()
    }
}

impl Mcp {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let Verb::Install { agent, print } = self.verb;
        let set =
            |name: &&str| context.around.env.get(*name).map(|value| format!("{name}={value}"));
        let env: Vec<String> = PLACES.iter().filter_map(set).collect();
        let command = agent.command(&this_program()?.display().to_string(), &env);
        let shown = command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        if print {
            context.answer(&shown, &json!({ "command": command }));
            return Ok(Exit::Ok);
        }
        let program = find(&command[0], context)?;
        context.out.story(&format!("$ {}", plain(&shown)));
        carry_out(&program, &command[1..], &shown)?;
        match context.format {
            Format::Text => context.out.answer(&format!("{} knows {NAME}", command[0])),
            Format::Json | Format::Jsonl => context.out.answer_json(&json!({ "command": command })),
        }
        Ok(Exit::Ok)
    }
}

/// Runs the agent's own command; what it says is part of the story.
fn carry_out(program: &Path, args: &[String], shown: &str) -> Result<(), Problem> {
    let failed = |why: String| {
        Problem::new(Code::AgentFailed, "the agent did not take the server")
            .because(why)
            .keeping("nothing of this repository was changed")
            .try_next(shown)
    };
    let done = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .map_err(|error| failed(format!("{}: {error}", program.display())))?;
    if done.success() {
        return Ok(());
    }
    Err(failed(format!("{}: {done}", program.display())))
}

/// The agent's program, where the user's `PATH` has it.
fn find(name: &str, context: &Context<'_>) -> Result<PathBuf, Problem> {
    let path = context.around.env.get("PATH").map(String::as_str).unwrap_or_default();
    let runs = |candidate: &PathBuf| {
        candidate.is_file() && rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok()
    };
    std::env::split_paths(path).map(|folder| folder.join(name)).find(runs).ok_or_else(|| {
        Problem::new(Code::AgentMissing, format!("there is no program {name}"))
            .because("no directory of PATH has it")
            .keeping("nothing was changed")
            .try_next(format!("cxo mcp install {name} --print"))
    })
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
