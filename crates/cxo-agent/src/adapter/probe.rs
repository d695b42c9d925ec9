//! What `cxo doctor` asks of an agent: is it there, which version, how does it sign in. Nothing
//! is sent to a provider.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde::Serialize;

use super::codex::{find_codex, probe_sign_in};
use super::{AgentError, AgentKind, AgentSettings, adapter_for, allowed_environment, find_program};
use crate::transcript::one_line;

/// How long a program may take to tell its version: Codex takes some 50 ms, a cold disk a second.
const VERSION_WITHIN: Duration = Duration::from_secs(10);

/// How much of the answer is read.
const MAX_VERSION_BYTES: u64 = 4096;

/// What is known about an agent before it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentProbe {
    /// The program that would be started.
    pub program: Option<PathBuf>,
    /// Its version, in its own words.
    pub version: Option<String>,
    /// How it would sign in.
    pub sign_in: SignIn,
    /// What is wrong; nothing when the agent can work.
    pub problems: Vec<Problem>,
}

/// How an agent would sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// By the key in this variable.
    Key(String),
    /// By the user's account, as signed in with the agent's own command.
    Account,
    /// Not at all, although it has to.
    None,
    /// It does not have to, or it is the command's own affair.
    NotNeeded,
}

/// Something that keeps an agent from working.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong, and why.
    pub what: String,
    /// The command or the setting that fixes it.
    pub fix: String,
}

/// Looks at an agent as it would be started with this environment. Runs `--version` of Codex,
/// and nothing of a command, which might do anything.
pub fn probe(settings: &AgentSettings, user_env: &BTreeMap<String, String>) -> AgentProbe {
    let mut problems: Vec<Problem> =
        adapter_for(settings).err().iter().map(|error| of_settings(settings, error)).collect();
    let path_variable = user_env.get("PATH").map_or("", String::as_str);
    let (program, sign_in) = match settings.kind {
        AgentKind::Codex => {
            let program = find_codex(settings.program.as_deref(), path_variable);
            if program.is_none() {
                problems.push(codex_missing(settings));
            }
            let sign_in = probe_sign_in(settings, user_env)
                .unwrap_or_else(|error| (SignIn::None, vec![of_settings(settings, &error)]));
            problems.extend(sign_in.1);
            (program, sign_in.0)
        }
        AgentKind::Command => {
            let configured = settings.program.as_deref().unwrap_or(Path::new(""));
            let program = find_program(configured, path_variable);
            if program.is_none() && settings.program.is_some() {
                problems.push(Problem {
                    what: format!("there is no program {}", configured.display()),
                    fix: format!("correct `agents.{}.program`", settings.name),
                });
            }
            (program, SignIn::NotNeeded)
        }
    };
    let version = match (settings.kind, &program) {
        (AgentKind::Codex, Some(path)) => version_of(path, user_env).or_else(|| {
            problems.push(Problem {
                what: format!("{} does not tell its version", path.display()),
                fix: "npm install -g @openai/codex".to_owned(),
            });
            None
        }),
        (AgentKind::Codex | AgentKind::Command, _) => None,
    };
    AgentProbe { program, version, sign_in, problems }
}

fn of_settings(settings: &AgentSettings, error: &AgentError) -> Problem {
    Problem { what: error.to_string(), fix: format!("correct `[agents.{}]`", settings.name) }
}

fn codex_missing(settings: &AgentSettings) -> Problem {
    match &settings.program {
        None => Problem {
            what: "there is no program `codex` in PATH".to_owned(),
            fix: "npm install -g @openai/codex".to_owned(),
        },
        Some(program) => Problem {
            what: format!("{} is not there or cannot be executed", program.display()),
            fix: format!("correct `agents.{}.program`", settings.name),
        },
    }
}

/// The first line that `program --version` prints. It runs in the allowed environment only.
fn version_of(program: &Path, user_env: &BTreeMap<String, String>) -> Option<String> {
    let environment = allowed_environment(user_env);
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .envs(environment.iter())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let answer = answer_within(&mut child, VERSION_WITHIN);
    // After its answer it has nothing left to do; a program that hangs is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    let text = answer?;
    let line = one_line(text.lines().next()?, 80);
    (!line.is_empty()).then_some(line)
}

fn answer_within(child: &mut Child, limit: Duration) -> Option<String> {
    let stdout = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(MAX_VERSION_BYTES).read_to_end(&mut bytes);
        // Nobody listens any more once the limit has passed.
        let _ = sender.send(bytes);
    });
    let bytes = receiver.recv_timeout(limit).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
