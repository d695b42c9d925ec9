//! Running one agent to its end, whatever it is for: started by its adapter, read while it works,
//! concluded from its exit and its own structured word.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use cxo_agent::adapter::{
    Access, AgentEvent, AgentRequest, AgentSettings, Confinement, EndCause, Launch,
    Outcome as AgentOutcome, OutputForm, OutputReader, ProcessEnd, ReadRequest, StandardInput,
    adapter_for,
};
use cxo_agent::sandbox::Sandbox;
use cxo_agent::supervisor::{Cause, Exit, Limits, ProcessSpec, Stdin, Stdio};
use cxo_agent::transcript::one_line;
use cxo_protocol::params::TerminalSize;
use cxo_protocol::wire::Activity;
use cxo_protocol::{AgentFailure, AttemptId, AttemptRole, TaskId, Usage};

use super::attempt::files_of;
use super::launch::{Ended, sandbox};
use super::{Execution, Halt};
use crate::fresh;
use crate::listener::AttemptSocket;
use crate::paths::terminal_file;

/// Bytes that an agent may print.
const LOG_BYTES: u64 = 512 << 20;

/// Bytes at the end of standard error that a failure is explained with.
const STDERR_TAIL_BYTES: u64 = 16 * 1024;

/// Characters of an activity line.
const ACTIVITY_CHARS: usize = 120;

/// Characters of an agent's last message that are kept in the log of events.
const MESSAGE_CHARS: usize = 4_000;

/// The terminal of an agent that wants one: wide enough for programs that lay out a screen, and
/// no wider than the windows that people look at it in.
const TERMINAL_SIZE: TerminalSize = TerminalSize { rows: 40, columns: 120 };

/// By which an agent finds the socket of its attempt.
const SOCKET_VARIABLE: &str = "CXO_SOCKET";

/// What an agent is to do.
pub(super) struct Job<'a> {
    pub(super) settings: &'a AgentSettings,
    pub(super) attempt: &'a AttemptId,
    pub(super) task: Option<&'a TaskId>,
    pub(super) role: AttemptRole,
    pub(super) prompt: &'a str,
    /// What it is told instead if the thread that it was to go on with is gone.
    pub(super) fresh_prompt: &'a dyn Fn() -> String,
    pub(super) workspace: &'a Path,
    pub(super) home: &'a Path,
    pub(super) task_json: &'a str,
    pub(super) thread: Option<&'a str>,
    pub(super) schema: Option<&'a serde_json::Value>,
    pub(super) used_before: Usage,
}

/// What became of it.
pub(super) struct Concluded {
    pub(super) end: End,
    pub(super) usage: Usage,
    pub(super) thread: Option<String>,
}

/// How it ended.
pub(super) enum End {
    /// It finished its turn.
    Completed {
        /// Its last message.
        message: String,
    },
    /// It did not.
    Failed(AgentFailure),
}

/// Runs an agent, or goes on with the one that this effect has started before.
pub(super) fn run(execution: &Execution<'_>, job: &Job<'_>) -> Result<Concluded, Halt> {
    let context = execution.context;
    let adapter = match adapter_for(job.settings) {
        Ok(adapter) => adapter,
        Err(error) => return Ok(not_started(error.to_string())),
    };
    let files = files_of(execution)?;
    let user_env = context.user_env(&execution.effect.run);
    let reading = ReadRequest {
        workspace: job.workspace,
        files: &files,
        home: job.home,
        thread: job.thread,
        user_env: &user_env,
        usage_before: job.used_before,
        form: if job.schema.is_some() { OutputForm::Json } else { OutputForm::Text },
    };
    let reader: RefCell<Box<dyn OutputReader + Send>> = RefCell::new(adapter.reader(&reading));
    let teller = Teller::new(execution, job);
    let (stdout, stderr) = (files.join("stdout.log"), files.join("stderr.log"));
    let socket = context.socket(job.attempt, &execution.effect.id);
    let mut refused = None;
    let spec = || {
        let request = AgentRequest {
            effect: &execution.effect.id,
            attempt: job.attempt,
            run: &execution.effect.run,
            task: job.task,
            role: job.role,
            prompt: job.prompt,
            workspace: job.workspace,
            files: &files,
            home: job.home,
            task_json: job.task_json,
            thread: job.thread,
            output_schema: job.schema,
            user_env: &user_env,
            access: access_of(job.role),
            hidden: &context.hidden,
            usage_before: job.used_before,
        };
        let mut launch = adapter.launch(&request);
        if job.thread.is_some() && matches!(&launch, Ok(launch) if launch.resumes.is_none()) {
            let prompt = (job.fresh_prompt)();
            launch = adapter.launch(&AgentRequest { prompt: &prompt, thread: None, ..request });
        }
        match launch {
            Ok(launch) => {
                let launch = with_own_socket(launch, socket.as_ref());
                process_spec(execution, job, launch, (&stdout, &stderr))
            }
            Err(error) => {
                refused = Some(error.to_string());
                Err(error.into())
            }
        }
    };
    let ended = execution.run_process(&execution.effect.id, &stdout, spec, |bytes| {
        let events = reader.borrow_mut().feed(bytes);
        for event in &events {
            teller.tell(event);
        }
    });
    // Where it is not known to have ended, it may go on under the next daemon.
    if ended.is_ok() || execution.stopped.get() {
        socket.into_iter().for_each(AttemptSocket::leave_nothing);
    }
    if let Some(message) = refused {
        return Ok(not_started(message));
    }
    let reader = reader.into_inner();
    match ended {
        Ok(Ended::NotStarted(why)) => Ok(not_started(why.to_string())),
        Ok(Ended::Exited(exit)) => {
            let tail = cxo_agent::transcript::tail(&stderr, STDERR_TAIL_BYTES).unwrap_or_default();
            Ok(concluded(execution, reader, &exit, &tail))
        }
        Err(halt) => Err(counted(execution, reader, halt)),
    }
}

/// What it had used, of an agent whose end nobody waits for: most of it is told at the end of a turn
/// only, and until then stands in the agent's own record.
fn counted(execution: &Execution<'_>, reader: Box<dyn OutputReader + Send>, halt: Halt) -> Halt {
    // One that never started left no record of its own.
    if matches!(execution.context.supervised.is_known(&execution.effect.id), Ok(true)) {
        let (code, signal, cause) = (None, None, EndCause::Cancelled);
        let end = ProcessEnd { code, signal, cause, ended_at: fresh::now() };
        execution.used.set(reader.finish(&end, "").usage);
    }
    halt
}

/// Lets an agent find its own socket, which lies among those of others.
fn with_own_socket(mut launch: Launch, socket: Option<&AttemptSocket>) -> Launch {
    let Some(socket) = socket else { return launch };
    if let Some(path) = socket.path().to_str() {
        launch.env.set(SOCKET_VARIABLE, path);
    }
    if let (Confinement::ByAgent { hidden, .. }, Some(dir)) =
        (&mut launch.confinement, socket.dir())
    {
        hidden.except_also(dir);
    }
    launch
}

fn access_of(role: AttemptRole) -> Access {
    match role {
        AttemptRole::Planner => Access::ReadOnly,
        AttemptRole::Worker | AttemptRole::Resolver => Access::WorkspaceWrite,
    }
}

fn not_started(message: String) -> Concluded {
    Concluded {
        end: End::Failed(AgentFailure::NotStarted { message }),
        usage: Usage::default(),
        thread: None,
    }
}

fn concluded(
    execution: &Execution<'_>,
    reader: Box<dyn OutputReader + Send>,
    exit: &Exit,
    stderr_tail: &str,
) -> Concluded {
    let limits = &execution.effect.options.limits;
    let cause = match exit.cause {
        Cause::Itself => EndCause::Itself,
        Cause::Stopped => EndCause::Cancelled,
        Cause::WallClock => EndCause::WallClock { limit_ms: limits.attempt_ms },
        Cause::Silence => EndCause::Silence { limit_ms: limits.silence_ms },
        Cause::LogLimit => EndCause::LogLimit { limit_bytes: LOG_BYTES },
        Cause::Lost => EndCause::Lost,
    };
    let end = ProcessEnd { code: exit.code, signal: exit.signal, cause, ended_at: exit.ended_at };
    let conclusion = reader.finish(&end, stderr_tail);
    execution.used.set(conclusion.usage);
    Concluded {
        end: match conclusion.outcome {
            AgentOutcome::Completed { message, structured } => End::Completed {
                message: structured.map_or_else(
                    || message.chars().take(MESSAGE_CHARS).collect(),
                    |json| json.to_string(),
                ),
            },
            AgentOutcome::Failed(failure) => End::Failed(failure),
        },
        usage: conclusion.usage,
        thread: conclusion.thread,
    }
}

fn process_spec(
    execution: &Execution<'_>,
    job: &Job<'_>,
    launch: Launch,
    (stdout, stderr): (&Path, &Path),
) -> Result<ProcessSpec, Halt> {
    let limits = &execution.effect.options.limits;
    let sandbox = match launch.confinement {
        Confinement::Unconfined => Sandbox::None,
        Confinement::ByAgent { hidden, otherwise } => Sandbox::Hiding { hidden, otherwise },
        Confinement::BySandbox { writable, hidden } => {
            let frozen = execution.context.frozen(&execution.effect.run)?;
            sandbox(writable, &frozen.writable, hidden)
        }
    };
    Ok(ProcessSpec {
        effect: execution.effect.id.clone(),
        program: launch.program,
        args: launch.args,
        cwd: job.workspace.to_owned(),
        env: launch.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        stdio: stdio(launch.stdin, stdout, stderr)?,
        limits: Limits {
            wall_ms: limits.attempt_ms,
            silence_ms: limits.silence_ms,
            log_bytes: LOG_BYTES,
            grace_ms: 2_000,
        },
        sandbox,
    })
}

fn stdio(input: StandardInput, stdout: &Path, stderr: &Path) -> Result<Stdio, Halt> {
    let (out, stderr) = (stdout.to_owned(), stderr.to_owned());
    Ok(match input {
        StandardInput::Null => Stdio::Streams { stdin: Stdin::Null, stdout: out, stderr },
        StandardInput::File(path) => {
            Stdio::Streams { stdin: Stdin::File(path), stdout: out, stderr }
        }
        StandardInput::Terminal => {
            fs::write(terminal_file(stdout), serde_json::to_vec(&TERMINAL_SIZE)?)?;
            Stdio::Terminal { transcript: out, size: TERMINAL_SIZE }
        }
    })
}

/// Tells what an agent does: its thread to the core, the rest to whoever watches.
struct Teller<'a> {
    execution: &'a Execution<'a>,
    job: &'a Job<'a>,
}

impl<'a> Teller<'a> {
    fn new(execution: &'a Execution<'_>, job: &'a Job<'_>) -> Self {
        Self { execution, job }
    }

    fn tell(&self, event: &AgentEvent) {
        let reports = &self.execution.context.reports;
        let text = match event {
            AgentEvent::ThreadStarted { thread } => {
                if self.job.role == AttemptRole::Worker {
                    reports.thread_started(&self.execution.effect.id, thread);
                }
                return;
            }
            AgentEvent::UsageTotal { cumulative } => {
                let since = cumulative.since(&self.job.used_before);
                self.execution.used.set(since);
                return;
            }
            AgentEvent::Activity { text } => text.clone(),
            AgentEvent::Message { text } => text.lines().next().unwrap_or_default().to_owned(),
            AgentEvent::Retrying { message } => format!("tries again: {message}"),
        };
        reports.activity(Activity {
            run: self.execution.effect.run.clone(),
            task: self.job.task.cloned(),
            attempt: self.job.task.map(|_| self.job.attempt.clone()),
            text: one_line(&text, ACTIVITY_CHARS),
            tokens: self.execution.used.get().total_tokens(),
        });
    }
}
