//! Any program as an agent: it gets the prompt in a file, works in the workspace, and says by
//! its exit status whether it is done. What it prints is shown and means nothing.

mod template;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use cxo_protocol::{AgentFailure, Usage};

use self::template::{Paths, Template};
use super::environment::{Environment, agent_environment, check_variables, referred_variables};
use super::files::{as_argument, make_directory, write_file};
use super::lines::{Line, LineSplitter};
use super::redaction::Redaction;
use super::{
    Access, Adapter, AgentError, AgentEvent, AgentRequest, AgentSettings, Conclusion, Confinement,
    Launch, Outcome, OutputForm, OutputReader, ProcessEnd, ReadRequest, SandboxMode, StandardInput,
    Terminal, find_program, plan_from_message,
};
use crate::transcript::{one_line, sanitise_plain};

/// The longest line of output that is kept; the raw log has the rest.
const MAX_LINE_BYTES: usize = 64 << 10;

/// The longest line that says what an agent is doing.
const MAX_ACTIVITY_CHARS: usize = 120;

/// How much of the end of the output is the agent's last message. A plan of 200 tasks fits.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// How much of it people are shown.
const SHOWN_LINES: usize = 20;

/// The terminal that nearly every program knows and every emulator understands.
const TERM: &str = "xterm-256color";

/// The adapter for a command.
pub struct CommandAgent {
    settings: AgentSettings,
    program: PathBuf,
    templates: Vec<Template>,
}

impl CommandAgent {
    /// Checks the settings: a program, known placeholders, variables that can be set.
    pub fn new(settings: &AgentSettings) -> Result<Self, AgentError> {
        check_variables(settings)?;
        let no_program = || AgentError::NoProgram { agent: settings.name.clone() };
        let program = settings.program.clone().filter(|path| !path.as_os_str().is_empty());
        let templates = settings
            .args
            .iter()
            .enumerate()
            .map(|(at, arg)| Template::parse(&settings.name, at + 1, arg))
            .collect::<Result<_, _>>()?;
        Ok(Self { settings: settings.clone(), program: program.ok_or_else(no_program)?, templates })
    }
}

impl CommandAgent {
    fn environment(&self, request: &AgentRequest<'_>) -> Environment {
        let mut env = agent_environment(&self.settings, request, &BTreeSet::new());
        if self.settings.terminal == Terminal::Own && !self.settings.env.contains_key("TERM") {
            env.set("TERM", TERM);
        }
        env
    }
}

impl Adapter for CommandAgent {
    fn launch(&self, request: &AgentRequest<'_>) -> Result<Launch, AgentError> {
        let path_variable = request.user_env.get("PATH").map_or("", String::as_str);
        let program = find_program(&self.program, path_variable).ok_or_else(|| {
            AgentError::ProgramMissing {
                agent: self.settings.name.clone(),
                program: self.program.clone(),
            }
        })?;
        make_directory(request.files)?;
        make_directory(request.home)?;
        let prompt_file = write_file(request.files, "prompt.md", request.prompt)?;
        let task_file = write_file(request.files, "task.json", request.task_json)?;
        let paths = Paths {
            prompt_file: as_argument(&prompt_file)?,
            task_file: as_argument(&task_file)?,
            workspace: as_argument(request.workspace)?,
        };
        let writable = match request.access {
            Access::ReadOnly => vec![request.home.to_owned()],
            Access::WorkspaceWrite => vec![request.workspace.to_owned(), request.home.to_owned()],
        };
        let confinement = match self.settings.sandbox {
            SandboxMode::WorkspaceWrite => {
                Confinement::BySandbox { writable, hidden: request.hidden.to_owned() }
            }
            SandboxMode::None => Confinement::Unconfined,
        };
        Ok(Launch {
            program,
            args: self.templates.iter().map(|template| template.fill(&paths)).collect(),
            env: self.environment(request),
            cwd: request.workspace.to_owned(),
            stdin: match self.settings.terminal {
                Terminal::None => StandardInput::Null,
                Terminal::Own => StandardInput::Terminal,
            },
            confinement,
            resumes: None,
        })
    }

    fn reader(&self, request: &ReadRequest<'_>) -> Box<dyn OutputReader + Send> {
        let keys = self.key_variables(request.user_env);
        Box::new(CommandReader {
            lines: LineSplitter::new(MAX_LINE_BYTES),
            redaction: Redaction::of(request.user_env, &self.settings.env, &keys),
            form: request.form,
            kept: VecDeque::new(),
            kept_bytes: 0,
            cut_lines: 0,
        })
    }

    /// A command gets the variables that its settings refer to, and no others.
    fn key_variables(&self, _user_env: &BTreeMap<String, String>) -> BTreeSet<String> {
        referred_variables(&self.settings)
    }
}

struct CommandReader {
    lines: LineSplitter,
    redaction: Redaction,
    form: OutputForm,
    kept: VecDeque<String>,
    kept_bytes: usize,
    cut_lines: u64,
}

impl CommandReader {
    fn line(&mut self, line: Line) -> Option<AgentEvent> {
        let bytes = match line {
            Line::Whole(bytes) => bytes,
            Line::Cut(bytes) => {
                self.cut_lines += 1;
                bytes
            }
        };
        let text = self.redaction.hide(&String::from_utf8_lossy(&bytes));
        let shown = one_line(&text, MAX_ACTIVITY_CHARS);
        self.kept_bytes += text.len() + 1;
        self.kept.push_back(text);
        while self.kept_bytes > MAX_MESSAGE_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.len() + 1;
        }
        (!shown.is_empty()).then_some(AgentEvent::Activity { text: shown })
    }

    fn message(&self) -> String {
        self.kept.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl OutputReader for CommandReader {
    fn feed(&mut self, stdout: &[u8]) -> Vec<AgentEvent> {
        let lines = self.lines.feed(stdout);
        lines.into_iter().filter_map(|line| self.line(line)).collect()
    }

    fn finish(mut self: Box<Self>, end: &ProcessEnd, stderr_tail: &str) -> Conclusion {
        if let Some(line) = self.lines.finish() {
            self.line(line);
        }
        let message = self.message();
        let outcome = match end.imposed_failure() {
            Some(failure) => Outcome::Failed(failure),
            None if end.code == Some(0) => Outcome::Completed {
                structured: match self.form {
                    OutputForm::Text => None,
                    OutputForm::Json => plan_from_message(&message).ok(),
                },
                message: last_lines(&message),
            },
            None => {
                let stderr = self.redaction.hide(stderr_tail);
                let told = if stderr.trim().is_empty() { &message } else { &stderr };
                Outcome::Failed(AgentFailure::Exited {
                    code: end.code,
                    signal: end.signal,
                    message: last_lines(told),
                })
            }
        };
        Conclusion { outcome, usage: Usage::default(), thread: None, ignored_lines: self.cut_lines }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    sanitise_plain(end.as_bytes())
}

#[cfg(test)]
mod tests;
