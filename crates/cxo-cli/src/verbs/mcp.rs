//! `cxo mcp`.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Subcommand, ValueEnum};
use cxo_protocol::{Code, Exit, Problem};
use serde_json::json;

use crate::cli::Format;
use crate::context::{Context, this_program};
use crate::proxy::{ATTEMPT_SOCKET, TOKEN, token_in};
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
        /// The file with the token of the registered agent that it is to be; without it, the user
        ///
        /// If `CXO_TOKEN` is set and there is no such file, the token is written to it.
        #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        token_file: Option<PathBuf>,
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
    fn command(self, server: &[&str], env: &[String]) -> Vec<String> {
        let env: Vec<&str> = env.iter().flat_map(|set| ["--env", set.as_str()]).collect();
        // An option that takes many words would take the name, too, if it stood before it.
        let parts: [&[&str]; 4] = match self {
            Self::Codex => [&["codex", "mcp", "add"], &env, &[NAME, "--"], server],
            Self::Claude => {
                [&["claude", "mcp", "add", NAME, "--scope", "user"], &env, &["--"], server]
            }
            Self::Gemini => [&["gemini", "mcp", "add"], &env, &["--scope", "user", NAME], server],
        };
        parts.concat().into_iter().map(str::to_owned).collect()
    }
}

impl Mcp {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let Verb::Install { agent, token_file, print } = self.verb;
        let token_file = identity(token_file, print, context)?;
        let set =
            |name: &&str| context.around.env.get(*name).map(|value| format!("{name}={value}"));
        let env: Vec<String> = PLACES.iter().filter_map(set).collect();
        let program = this_program()?.display().to_string();
        let mut server = vec![program.as_str(), "serve"];
        server.extend(token_file.iter().flat_map(|file| ["--token-file", file.as_str()]));
        let command = agent.command(&server, &env);
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

/// The file that says as whom the server acts. Agents keep the variables that say it here from their
/// servers, and without them a server would act as the user.
fn identity(
    file: Option<PathBuf>,
    print: bool,
    context: &Context<'_>,
) -> Result<Option<String>, Problem> {
    let set = |name: &str| context.around.env.get(name).filter(|value| !value.is_empty());
    let Some(file) = file else {
        let Some(name) = [TOKEN, ATTEMPT_SOCKET].into_iter().find(|name| set(name).is_some())
        else {
            return Ok(None);
        };
        return Err(Problem::new(Code::BadRequest, "the server would act as the user")
            .because(format!("{name} says that this is an agent, and would not reach the server"))
            .keeping("nothing was changed")
            .try_next("cxo mcp install AGENT --token-file FILE")
            .try_next(format!("as the user: unset {name}")));
    };
    let file = context.directory()?.join(file);
    let shown = file.to_str().map(str::to_owned).ok_or_else(|| {
        Problem::new(Code::BadRequest, "the name of the file is not UTF-8").keeping(NOTHING)
    })?;
    if let (Some(token), false, false) = (set(TOKEN), file.exists(), print) {
        write_token(&file, token)?;
    }
    if !print {
        token_in(&file)?;
    }
    Ok(Some(shown))
}

const NOTHING: &str = "nothing was changed";

/// Writes a token where only the user reads it, and over nothing.
fn write_token(file: &Path, token: &str) -> Result<(), Problem> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(file).and_then(|mut open| writeln!(open, "{token}"));
    written.map_err(|error| {
        Problem::new(Code::StateUnusable, "the token cannot be written")
            .because(format!("{}: {error}", file.display()))
            .keeping(NOTHING)
    })
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
