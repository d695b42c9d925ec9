//! Rows of the projections: what a run, a task, an attempt … looks like to somebody who opens the
//! state with a SQL shell.
//!
//! The daemon computes rows from its state and hands them over with the events that changed them;
//! the store only keeps them. A row is never read back to decide anything: the event log is the
//! truth, and all rows can be computed again from it. The field names are the column names.

mod graph;

use serde::{Deserialize, Serialize};

use crate::{AttemptId, CommitId, LandingId, QuestionId, RunId, TaskId, Timestamp, TreeId, Usage};

pub use graph::{CheckpointRow, NodeRow};

/// One row of one projection. A row replaces the earlier one with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "row", rename_all = "snake_case")]
pub enum Row {
    /// A run.
    Run(RunRow),
    /// A task of a run.
    Task(TaskRow),
    /// An attempt, with its result once it has ended.
    Attempt(AttemptRow),
    /// What an attempt used.
    Usage(UsageRow),
    /// A question to a person.
    Question(QuestionRow),
    /// A try at landing a task.
    Landing(LandingRow),
    /// A node of the work graph.
    Node(NodeRow),
    /// Where the work on a case stood.
    Checkpoint(CheckpointRow),
}

/// A run. Key: `run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunRow {
    /// The run's id.
    pub run: RunId,
    /// One line for people.
    pub title: String,
    /// The goal as it was given.
    pub goal: String,
    /// The state in the word that every screen shows.
    pub state: String,
    /// The agent that works on tasks which name none.
    pub agent: Option<String>,
    /// The ref that the run started from, as it was given.
    pub base: Option<String>,
    /// The commit that the run started from.
    pub base_commit: Option<CommitId>,
    /// The branch that gets the result.
    pub result_branch: Option<String>,
    /// The newest commit of the result.
    pub result_commit: Option<CommitId>,
    /// When the run was asked for.
    pub created_at: Timestamp,
    /// When it ended; absent while the run is open.
    pub ended_at: Option<Timestamp>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

/// A task. Key: `run`, `task`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskRow {
    /// The run that the task is part of.
    pub run: RunId,
    /// The task's id, unique in its run.
    pub task: TaskId,
    /// Where the task stands in the plan, from 0.
    pub position: u64,
    /// One line for people.
    pub title: String,
    /// The state in the word that every screen shows.
    pub state: String,
    /// What the task waits for or why it is where it is, for people.
    pub reason: Option<String>,
    /// The tasks that have to land first, as a JSON list of ids.
    pub depends_on: String,
    /// The agent that works on it.
    pub agent: Option<String>,
    /// How many attempts were started.
    pub attempts: u64,
    /// When the first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached its terminal state.
    pub ended_at: Option<Timestamp>,
    /// The commit that landed.
    pub commit_id: Option<CommitId>,
    /// The tree that was checked and landed.
    pub tree_id: Option<TreeId>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

/// An attempt: one agent working on one task, or on a plan. Key: `attempt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttemptRow {
    /// The attempt's id.
    pub attempt: AttemptId,
    /// The run that it is part of.
    pub run: RunId,
    /// The task that it works on; absent when it plans.
    pub task: Option<TaskId>,
    /// Which try it is, from 1.
    pub number: u64,
    /// What it is for: `work`, `plan`, `resolve` …
    pub purpose: String,
    /// The agent's name in the configuration.
    pub agent: String,
    /// The model, where the agent said so.
    pub model: Option<String>,
    /// The state in one word.
    pub state: String,
    /// The agent's conversation, which a later attempt can resume.
    pub thread: Option<String>,
    /// Where the agent worked.
    pub workspace: Option<String>,
    /// The log file, relative to the state directory.
    pub log: Option<String>,
    /// When the process was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The exit code, where the process exited.
    pub exit_code: Option<i64>,
    /// The signal that ended the process.
    pub signal: Option<i64>,
    /// The commit made from what the agent left.
    pub commit_id: Option<CommitId>,
    /// The tree of that commit.
    pub tree_id: Option<TreeId>,
    /// The agent's last message, sanitised.
    pub summary: Option<String>,
    /// Why it failed, for people.
    pub error: Option<String>,
}

/// What an attempt used. Key: `attempt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UsageRow {
    /// The attempt that used it.
    pub attempt: AttemptId,
    /// The run that it is part of.
    pub run: RunId,
    /// The task that it works on; absent when it plans.
    pub task: Option<TaskId>,
    /// The agent's name in the configuration.
    pub agent: String,
    /// The model, where the agent said so.
    pub model: Option<String>,
    /// Tokens sent, cached ones included.
    pub input_tokens: u64,
    /// The part of `input_tokens` that the provider had cached.
    pub cached_input_tokens: u64,
    /// Tokens received, reasoning included.
    pub output_tokens: u64,
    /// The part of `output_tokens` spent on reasoning.
    pub reasoning_tokens: u64,
    /// When it was last counted.
    pub counted_at: Timestamp,
}

impl UsageRow {
    /// The tokens as one value.
    pub fn usage(&self) -> Usage {
        Usage {
            input_tokens: self.input_tokens,
            cached_input_tokens: self.cached_input_tokens,
            output_tokens: self.output_tokens,
            reasoning_tokens: self.reasoning_tokens,
        }
    }
}

/// A question to a person. Key: `question`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QuestionRow {
    /// The question's id.
    pub question: QuestionId,
    /// The run that waits for it.
    pub run: RunId,
    /// The task that waits for it, if one does.
    pub task: Option<TaskId>,
    /// The state in one word.
    pub state: String,
    /// The question, sanitised.
    pub text: String,
    /// The answers to choose from, as a JSON list; empty for a free answer.
    pub choices: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When it was answered or withdrawn.
    pub ended_at: Option<Timestamp>,
    /// The answer that was given.
    pub answer: Option<String>,
}

/// A try at landing a task. Key: `landing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LandingRow {
    /// The landing's id.
    pub landing: LandingId,
    /// The run that it is part of.
    pub run: RunId,
    /// The task that lands.
    pub task: TaskId,
    /// The state in one word.
    pub state: String,
    /// The commit that was brought in.
    pub source_commit: Option<CommitId>,
    /// The commit of the target that it was merged onto.
    pub target_commit: Option<CommitId>,
    /// The commit that the target moved to.
    pub commit_id: Option<CommitId>,
    /// The tree that the checks ran on.
    pub tree_id: Option<TreeId>,
    /// What the checks said, as the JSON of the receipt.
    pub receipt: Option<String>,
    /// When it joined the queue.
    pub queued_at: Timestamp,
    /// When it landed or was given up.
    pub ended_at: Option<Timestamp>,
    /// Why it did not land, for people.
    pub error: Option<String>,
}
