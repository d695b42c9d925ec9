//! What methods are given and what they answer.

pub mod agents;
pub mod caller;
pub mod cases;
pub mod graph;
pub mod locks;
pub mod mirror;
pub mod planning;
pub mod sessions;
pub mod trees;
pub mod work;
pub mod worktrees;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Answer, AttemptId, CommitId, Plan, Receipt, RunId, TaskId, Timestamp};

/// No parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// A link by which a browser signs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DashboardLink {
    /// The address, with the code in its fragment. Who opens it first is signed in.
    pub url: String,
    /// Until when it works.
    pub expires_at: Timestamp,
}

/// It was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {
    /// What was done, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a client says when it starts a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// What is to be done, word by word. May be empty with a plan.
    #[serde(default)]
    pub goal: String,
    /// The plan, where the user brought one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Whether and how the plan is approved.
    #[serde(default)]
    pub approve: Approve,
    /// The hash of the repository's commands that the user has seen, or `any` to approve them unseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Settings from the command line, by their configuration key (`run.jobs` …); the strongest layer.
    #[serde(default)]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The user's environment, as far as agents and checks may see it. A daemon's own is stale.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The directory that the user is in: the work tree whose configuration and HEAD count.
    pub cwd: String,
}

/// Whether a plan is approved before it is seen.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Approve {
    /// Wait for a person.
    #[default]
    Ask,
    /// It is.
    Given,
    /// Plan only.
    PlanOnly,
}

/// A run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunStarted {
    /// Its id.
    pub run: RunId,
    /// The sequence number of its first event: follow from here to miss nothing.
    pub seq: u64,
    /// Things worth knowing that stop nothing: a dirty tree that is left alone, files in LFS …
    pub notes: Vec<String>,
    /// The commands and settings that the repository brings, with their hash, where it brings any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brought: Option<Brought>,
}

/// What a repository brings that will be executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Brought {
    /// The hash that an approval names.
    pub hash: String,
    /// One line per command or setting.
    pub lines: Vec<String>,
    /// Whether somebody approved it, now or before.
    pub approved: bool,
}

/// Which runs to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusQuery {
    /// One run with its tasks, by its id, the beginning of its id, or `-` for the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// At most so many runs; the newest. The default is 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A run, by its id, the beginning of its id, or `-` for the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunName {
    /// The run.
    pub run: String,
}

/// A task of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskName {
    /// The run, by its id, the beginning of its id, or `-` for the newest.
    pub run: String,
    /// The task.
    pub task: String,
}

/// A run, or one of its tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesOf {
    /// The run, by its id, the beginning of its id, or `-` for the newest.
    pub run: String,
    /// The task; absent for the run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// See `run.resume`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResumeRun {
    /// The run.
    pub run: String,
    /// The hash of the commands that the person approves, or `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Whether the plan is approved too.
    #[serde(default)]
    pub approve: Approve,
    /// The user's environment, as far as agents and checks may see it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// See `plan.edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditPlan {
    /// The run.
    pub run: String,
    /// The new plan.
    pub plan: Plan,
}

/// See `run.retryTask`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskRetry {
    /// The run.
    pub run: String,
    /// The task.
    pub task: String,
    /// What the agent should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// See `run.replyTask`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskAnswer {
    /// The run.
    pub run: String,
    /// The task.
    pub task: String,
    /// The answer.
    pub answer: Answer,
    /// The work that a yes is to. Has to be named where the question has one, so that nobody says
    /// yes to what they did not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<CommitId>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Diff {
    /// A unified diff.
    pub diff: String,
    /// What it is the difference from.
    pub from: Option<CommitId>,
    /// What it is the difference to.
    pub to: Option<CommitId>,
}

/// Files with output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogFiles {
    /// One per process that was run, in the order of their start.
    pub files: Vec<LogFile>,
}

/// The output of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogFile {
    /// What it was: `r7k2.t1.a1`, `r7k2.t1.l1-verify` …
    pub effect: String,
    /// The task, where it is one's.
    pub task: Option<TaskId>,
    /// `stdout`, `stderr`, or the name of another file.
    pub stream: String,
    /// Where it is, absolute.
    pub path: String,
    /// How long it is now.
    pub bytes: u64,
    /// How large the terminal is that it was printed on, if it was one: then it is a transcript,
    /// of which `cxo attach` shows the screen.
    pub terminal: Option<TerminalSize>,
}

/// How large a terminal is, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Receipts of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReceiptList {
    /// The run.
    pub run: RunId,
    /// Those of the base, then each with the task whose landing it was for.
    pub receipts: Vec<ReceiptOf>,
}

/// A receipt and what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReceiptOf {
    /// The task; absent for the base.
    pub task: Option<TaskId>,
    /// The commit that has the tree.
    pub commit: Option<CommitId>,
    /// The receipt.
    pub receipt: Receipt,
}

/// See `events.subscribe`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsSubscribe {
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Every event after this position; absent: only what comes from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// Events will be pushed as notifications of the method `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Subscribed {
    /// The last position in the log at this moment.
    pub seq: u64,
}

/// See `recover.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverList {
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Pinned works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recovered {
    /// Newest first.
    pub pins: Vec<Pin>,
}

/// A work that is pinned in the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Pin {
    /// The attempt that made it.
    pub attempt: AttemptId,
    /// The commit.
    pub commit: CommitId,
    /// When it was made.
    pub at: Timestamp,
    /// The first line of its message.
    pub subject: String,
    /// Whether it is part of the run's target.
    pub landed: bool,
}

/// See `recover.restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoverRestore {
    /// The attempt.
    pub attempt: AttemptId,
    /// The branch to make in the user's repository; it must not exist.
    pub branch: String,
}

/// Which daemon it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DaemonStatus {
    /// Its process id.
    pub pid: u32,
    /// The supervisor's process id, where one runs.
    pub supervisor_pid: Option<u32>,
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Where its state is.
    pub state_dir: String,
    /// Where it listens.
    pub socket: String,
    /// The port of 127.0.0.1 on which it speaks HTTP, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Runs that are not over.
    pub open_runs: u32,
    /// Effects that are going on.
    pub effects: u32,
    /// Requests that wait.
    pub queue: u32,
    /// How many may wait.
    pub queue_capacity: u32,
}

/// See `daemon.stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaemonStop {
    /// Also end agents and checks that are going on; they are resumed by the next daemon.
    #[serde(default)]
    pub agents: AgentsOnStop,
}

/// What becomes of agents when the daemon stops.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AgentsOnStop {
    /// They go on.
    #[default]
    GoOn,
    /// They are ended.
    End,
}
