//! The Codex CLI by `codex exec --json`: what is started.
//!
//! The facts behind each flag stand in `docs/agents/codex-adapter.md`. Prompts go in by standard
//! input and never by argument; the sandbox is Codex's own.

mod event;
mod failure;
mod home;
mod program;
mod reader;
mod recover;
mod reset_time;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use program::find_codex;
pub use recover::{Recovered, recover};
pub(super) use sign_in::probe_sign_in;

use self::home::UserHome;
use self::reader::CodexReader;
use super::environment::{agent_environment, check_variables, referred_variables};
use super::files::{as_argument, make_directory, write_file};
use super::{
    Access, Adapter, AgentError, AgentRequest, AgentSettings, Confinement, Launch, OutputReader,
    ReadRequest, SandboxMode, StandardInput, Terminal,
};
use crate::sandbox::Hidden;

/// The longest prompt that is given as it is. Codex refuses an input of more than 1 048 576
/// characters; beyond this, it is told to read the file.
const MAX_INPUT_CHARS: usize = 1_000_000;

/// The name of the file that Codex writes its last message into.
pub(super) const LAST_MESSAGE_FILE: &str = "last-message.txt";

/// Variables that hold Codex's own keys.
const API_KEY: &str = "CODEX_API_KEY";
const OPENAI_API_KEY: &str = "OPENAI_API_KEY";

/// The name of our permission profile.
const PROFILE: &str = "cxo";

/// The adapter for Codex.
pub struct Codex {
    settings: AgentSettings,
}

impl Codex {
    /// Checks the settings.
    pub fn new(settings: &AgentSettings) -> Result<Self, AgentError> {
        check_variables(settings)?;
        if settings.terminal == Terminal::Own {
            return Err(AgentError::NoTerminal { agent: settings.name.clone() });
        }
        Ok(Self { settings: settings.clone() })
    }

    fn program(&self, user_env: &BTreeMap<String, String>) -> Result<PathBuf, AgentError> {
        let path_variable = user_env.get("PATH").map_or("", String::as_str);
        find_codex(self.settings.program.as_deref(), path_variable).ok_or_else(|| {
            let agent = self.settings.name.clone();
            match &self.settings.program {
                None => AgentError::CodexMissing { agent },
                Some(program) => AgentError::ProgramMissing { agent, program: program.clone() },
            }
        })
    }

    /// Variables that Codex itself reads a key from.
    fn own_keys(&self, user_env: &BTreeMap<String, String>) -> BTreeSet<String> {
        let mut names = home::env_keys_in_args(&self.settings.args);
        names.extend([API_KEY.to_owned(), OPENAI_API_KEY.to_owned()]);
        // A configuration that cannot be read is reported by `launch`; it names no keys.
        if let Ok(user_home) = UserHome::of(user_env) {
            names.extend(user_home.env_keys());
        }
        names
    }

    fn args(
        &self,
        request: &AgentRequest<'_>,
        keys: &BTreeSet<String>,
    ) -> Result<Vec<String>, AgentError> {
        let mut args = Arguments(vec!["exec".to_owned(), "--json".to_owned()]);
        args.flag("--skip-git-repo-check");
        // Rules of the repository may let commands out of the sandbox, and an agent may write them.
        args.flag("--ignore-rules");
        // Without a network each of these stalls or fetches in the background.
        args.config("analytics.enabled=false");
        args.config("check_for_update_on_startup=false");
        // A login shell would put the PATH of /etc/profile in place of the user's.
        args.config("allow_login_shell=false");
        args.pair("--disable", "plugins");
        args.pair("--disable", "apps");
        // A snapshot of the user's shell is for login shells only, and running `.bashrc` for it takes
        // longer than all else.
        args.pair("--disable", "shell_snapshot");
        // The workspace is all that belongs to the task: instructions are not looked for above it.
        args.config("project_root_markers=[]");
        // The agent's commands do not get the agent's keys. [G23]
        args.config("shell_environment_policy.ignore_default_excludes=false");
        let hidden: Vec<&str> = keys.iter().map(String::as_str).collect();
        args.config(&format!("shell_environment_policy.exclude={}", toml_strings(&hidden)));
        match (self.settings.sandbox, request.access) {
            (SandboxMode::None, _) => args.flag("--dangerously-bypass-approvals-and-sandbox"),
            (SandboxMode::WorkspaceWrite, Access::WorkspaceWrite) => {
                args.permissions(":workspace");
            }
            (SandboxMode::WorkspaceWrite, Access::ReadOnly) => args.permissions(":read-only"),
        }
        if let Some(model) = &self.settings.model {
            args.pair("-m", model);
        }
        args.pair("-C", as_argument(request.workspace)?);
        if let Some(schema) = request.output_schema {
            let path = write_file(request.files, "output-schema.json", &schema.to_string())?;
            args.pair("--output-schema", as_argument(&path)?);
        }
        args.pair("-o", as_argument(&request.files.join(LAST_MESSAGE_FILE))?);
        // The user's own arguments come last, so that they win.
        args.0.extend(self.settings.args.iter().cloned());
        Ok(args.0)
    }
}

impl Adapter for Codex {
    fn launch(&self, request: &AgentRequest<'_>) -> Result<Launch, AgentError> {
        let program = self.program(request.user_env)?;
        let user_home = UserHome::of(request.user_env)?;
        make_directory(request.files)?;
        make_directory(request.home)?;
        user_home.furnish(request.home)?;
        write_file(request.files, "task.json", request.task_json)?;
        let prompt_file = write_file(request.files, "prompt.md", request.prompt)?;
        let stdin = if request.prompt.chars().nth(MAX_INPUT_CHARS).is_some() {
            let pointer = format!(
                "The task is too long for a message and stands in the file {}. Read all of that \
                 file first, in parts, then carry it out.",
                as_argument(&prompt_file)?
            );
            write_file(request.files, "prompt-pointer.md", &pointer)?
        } else {
            prompt_file
        };

        let keys = self.own_keys(request.user_env);
        let mut args = self.args(request, &keys)?;
        let resumes = request.thread.filter(|thread| recover::has_thread(request.home, thread));
        if let Some(thread) = resumes {
            args.extend(["resume".to_owned(), thread.to_owned()]);
        }
        args.push("-".to_owned());

        let mut env = agent_environment(&self.settings, request, &keys);
        env.set("CODEX_HOME", as_argument(request.home)?);
        // Codex takes a key from the environment under its own name only.
        let key = env.value(OPENAI_API_KEY).map(str::to_owned);
        if let (Some(key), None, false) = (key, env.value(API_KEY), user_home.has_sign_in()) {
            env.set(API_KEY, &key);
        }
        let confinement = match self.settings.sandbox {
            SandboxMode::WorkspaceWrite => Confinement::ByAgent {
                hidden: request.hidden.clone(),
                otherwise: hiding_args(request.hidden)?,
            },
            SandboxMode::None => Confinement::Unconfined,
        };
        Ok(Launch {
            program,
            args,
            env,
            cwd: request.workspace.to_owned(),
            stdin: StandardInput::File(stdin),
            confinement,
            resumes: resumes.map(str::to_owned),
        })
    }

    fn reader(&self, request: &ReadRequest<'_>) -> Box<dyn OutputReader + Send> {
        let keys = self.key_variables(request.user_env);
        Box::new(CodexReader::new(request, &self.settings, &keys))
    }

    fn key_variables(&self, user_env: &BTreeMap<String, String>) -> BTreeSet<String> {
        let mut names = self.own_keys(user_env);
        names.extend(referred_variables(&self.settings));
        names
    }
}

struct Arguments(Vec<String>);

impl Arguments {
    fn flag(&mut self, flag: &str) {
        self.0.push(flag.to_owned());
    }

    fn pair(&mut self, flag: &str, value: &str) {
        self.0.extend([flag.to_owned(), value.to_owned()]);
    }

    fn config(&mut self, assignment: &str) {
        self.pair("-c", assignment);
    }

    /// One of Codex's own permission profiles, under a name that more can be said of.
    fn permissions(&mut self, profile: &str) {
        self.config(&format!("default_permissions=\"{PROFILE}\""));
        self.config(&format!("permissions.{PROFILE}.extends=\"{profile}\""));
    }
}

/// Has Codex itself hide something from what it runs. This costs: whatever Codex then reads of the
/// workspace it reads by a process in its sandbox, instructions and skills included.
fn hiding_args(hidden: &Hidden) -> Result<Vec<String>, AgentError> {
    let none = |path: &PathBuf| Ok((as_argument(path)?.to_owned(), "none".into()));
    let files: toml::Table =
        hidden.taken_apart().iter().map(none).collect::<Result<_, AgentError>>()?;
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let files = toml::Value::Table(files);
    Ok(vec!["-c".to_owned(), format!("permissions.{PROFILE}.filesystem={files}")])
}

fn toml_strings(items: &[&str]) -> String {
    let values = items.iter().map(|item| toml::Value::String((*item).to_owned())).collect();
    toml::Value::Array(values).to_string()
}

#[cfg(test)]
mod tests;
