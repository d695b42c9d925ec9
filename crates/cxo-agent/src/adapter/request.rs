//! What an adapter is asked, and what it answers with: plain data on both sides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxo_protocol::{AttemptId, AttemptRole, EffectId, RunId, TaskId, Usage};
use serde::{Deserialize, Serialize};

use super::Environment;
use crate::sandbox::Hidden;

/// What an agent may do to its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Look at it.
    ReadOnly,
    /// Change it.
    WorkspaceWrite,
}

/// One attempt, as an adapter needs to know it.
///
/// It has no `Debug`: prompts and environments do not belong into logs.
#[derive(Clone, Copy)]
pub struct AgentRequest<'a> {
    /// The effect that wants this process.
    pub effect: &'a EffectId,
    /// The attempt, for `CXO_ATTEMPT`.
    pub attempt: &'a AttemptId,
    /// The run, for `CXO_RUN`.
    pub run: &'a RunId,
    /// The task, for `CXO_TASK`; a planner has none.
    pub task: Option<&'a TaskId>,
    /// Who the agent is, for `CXO_ROLE`.
    pub role: AttemptRole,
    /// What to do, in words. Of any length: it never becomes an argument.
    pub prompt: &'a str,
    /// The checkout to work in.
    pub workspace: &'a Path,
    /// The private directory of this attempt; the adapter writes `prompt.md`, `task.json` and
    /// the like into it. Made if it is missing. Not below the system's temporary directory for
    /// Codex, which refuses to put its sandbox helper there.
    pub files: &'a Path,
    /// The agent's private home. All attempts that go on with one thread share it, no two of
    /// them at the same time: one directory per task fits. Made if it is missing.
    pub home: &'a Path,
    /// The task as JSON, for agents that read it.
    pub task_json: &'a str,
    /// The thread to go on with.
    pub thread: Option<&'a str>,
    /// The shape that the last message must have.
    pub output_schema: Option<&'a serde_json::Value>,
    /// The user's environment as the client sent it; only allowed variables are taken from it.
    pub user_env: &'a BTreeMap<String, String>,
    /// What the agent may do to its workspace.
    pub access: Access,
    /// What must be kept from it.
    pub hidden: &'a Hidden,
    /// What `thread` had used before this attempt: agents count over a whole thread. Means
    /// nothing without a thread.
    pub usage_before: Usage,
}

impl<'a> AgentRequest<'a> {
    /// The part of the request that reading the output needs.
    pub fn reading(&self) -> ReadRequest<'a> {
        ReadRequest {
            workspace: self.workspace,
            files: self.files,
            home: self.home,
            thread: self.thread,
            user_env: self.user_env,
            usage_before: self.usage_before,
            form: if self.output_schema.is_some() { OutputForm::Json } else { OutputForm::Text },
        }
    }
}

/// What reading an attempt's output needs; a restarted daemon can supply it without the prompt.
#[derive(Clone, Copy)]
pub struct ReadRequest<'a> {
    /// The checkout, so that paths are shown relative to it.
    pub workspace: &'a Path,
    /// The private directory of the attempt.
    pub files: &'a Path,
    /// The agent's private home.
    pub home: &'a Path,
    /// The thread that the attempt went on with.
    pub thread: Option<&'a str>,
    /// The user's environment: the values of key variables in it are never repeated.
    pub user_env: &'a BTreeMap<String, String>,
    /// What the thread had used before this attempt.
    pub usage_before: Usage,
    /// Whether the last message is data.
    pub form: OutputForm,
}

/// What the last message of an agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputForm {
    /// Words for people.
    Text,
    /// JSON, because a schema was asked for.
    Json,
}

/// What to start. Complete: nothing is inherited from whoever starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Environment,
    /// Its working directory.
    pub cwd: PathBuf,
    /// What it reads on standard input. A pipe is never left open: agents wait for more on it.
    pub stdin: StandardInput,
    /// Who keeps it in its place.
    pub confinement: Confinement,
    /// The thread that it goes on with. Absent although one was asked for where the agent's own
    /// record of that thread is gone: it then starts a new one.
    pub resumes: Option<String>,
}

/// What a process reads on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StandardInput {
    /// Nothing: `/dev/null`.
    Null,
    /// This file, to its end.
    File(PathBuf),
    /// What is typed on a terminal, which takes its output and errors too.
    Terminal,
}

/// Who keeps an agent's commands in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// The agent has a sandbox of its own, and it is on. What is hidden is hidden around it.
    ByAgent {
        /// What it may not read.
        hidden: Hidden,
        /// Arguments, to come before all others, that have the agent hide it from what it runs,
        /// where it cannot be hidden around it.
        otherwise: Vec<String>,
    },
    /// Our sandbox is wanted around the whole process.
    BySandbox {
        /// Directories it may write beside temporary ones.
        writable: Vec<PathBuf>,
        /// What it may not read.
        hidden: Hidden,
    },
    /// Nobody: the settings say `sandbox = "none"`.
    Unconfined,
}
