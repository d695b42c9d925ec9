//! Views: what people and programs are shown of runs and tasks. The words for states are decided
//! here and in the core, once; every screen takes them as they are.

use serde::{Deserialize, Serialize};

use crate::{
    AddedEdge, AttemptId, ChangeStat, CommitId, Kept, PlanTask, Published, QuestionId, Receipt,
    RunId, RunsLater, TaskId, Timestamp, Usage,
};

/// The version of [`StatusDocument`].
pub const STATUS_VERSION: u32 = 1;

/// What `cxo status --format json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StatusDocument {
    /// Always [`STATUS_VERSION`].
    pub v: u32,
    /// The runs, newest first.
    pub runs: Vec<RunView>,
}

/// Where a task is, in the words that people see.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TaskWord {
    /// A person has to answer.
    NeedsYou,
    /// An agent works on it.
    Working,
    /// Its merged tree is being checked.
    Checking,
    /// Its work waits for its landing, or is being merged.
    Queued,
    /// It waits for other tasks, for a slot, or for a limit.
    Waiting,
    /// The target holds its work.
    Merged,
    /// It is done and changed nothing.
    NoChange,
    /// It could not be done.
    Failed,
    /// Something that it needs could not be done.
    Blocked,
    /// A person cancelled it.
    Cancelled,
}

impl TaskWord {
    /// All of them, in the order in which screens list them.
    pub const ALL: [Self; 10] = [
        Self::NeedsYou,
        Self::Working,
        Self::Checking,
        Self::Queued,
        Self::Waiting,
        Self::Merged,
        Self::NoChange,
        Self::Failed,
        Self::Blocked,
        Self::Cancelled,
    ];

    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::NeedsYou => "Needs you",
            Self::Working => "Working",
            Self::Checking => "Checking",
            Self::Queued => "Queued",
            Self::Waiting => "Waiting",
            Self::Merged => "Merged",
            Self::NoChange => "No change",
            Self::Failed => "Failed",
            Self::Blocked => "Blocked",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The symbol beside the word.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NeedsYou => "?",
            Self::Working => "▶",
            Self::Checking => "◎",
            Self::Queued => "⋯",
            Self::Waiting => "○",
            Self::Merged => "✔",
            Self::NoChange => "=",
            Self::Failed => "✘",
            Self::Blocked => "■",
            Self::Cancelled => "⊘",
        }
    }

    /// Whether only a person's command leads out of it.
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Merged | Self::NoChange | Self::Failed | Self::Blocked | Self::Cancelled => true,
            Self::NeedsYou | Self::Working | Self::Checking | Self::Queued | Self::Waiting => false,
        }
    }
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunWord {
    /// The base is prepared and checked, and the plan made.
    Planning,
    /// Nothing goes on until a person acts.
    NeedsManualReview,
    /// Tasks are worked on.
    Running,
    /// The result is being written.
    Merging,
    /// It was only to be planned, and it is.
    Planned,
    /// Every task is merged or needed no change.
    Done,
    /// Something failed or was blocked.
    Failed,
    /// A person cancelled it.
    Cancelled,
}

impl RunWord {
    /// The word for people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Planning => "Planning",
            Self::NeedsManualReview => "Needs you",
            Self::Running => "Running",
            Self::Merging => "Merging",
            Self::Planned => "Planned",
            Self::Done => "Done",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether only a person's command leads out of it.
    pub fn is_ended(self) -> bool {
        match self {
            Self::Planned | Self::Done | Self::Failed | Self::Cancelled => true,
            Self::Planning | Self::NeedsManualReview | Self::Running | Self::Merging => false,
        }
    }
}

/// What a run waits for a person to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Awaits {
    /// To approve the commands that the repository brings.
    Trust {
        /// Their hash.
        hash: String,
    },
    /// To approve the plan.
    Plan,
    /// To answer the questions of these tasks.
    Answers {
        /// The tasks.
        tasks: Vec<TaskId>,
    },
}

/// A run as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RunView {
    /// Its id.
    pub id: RunId,
    /// What it is to do.
    pub goal: String,
    /// Where it is.
    pub state: RunWord,
    /// More about the state, in a few words.
    pub detail: Option<String>,
    /// What it waits for a person to do.
    pub awaits: Option<Awaits>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How many workers may run at once.
    pub jobs: u32,
    /// The revision that it started from, as it was given.
    pub base: String,
    /// The commit that it started from.
    pub base_commit: Option<CommitId>,
    /// What the checks said about the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_receipts: Vec<Receipt>,
    /// Where its target is.
    pub target: Option<CommitId>,
    /// The commands that a tree must pass, as lines.
    pub checks: Vec<String>,
    /// What the plan does.
    pub summary: Option<String>,
    /// Dependencies that were added because tasks touch the same files.
    pub added_edges: Vec<AddedEdge>,
    /// What all its agents used.
    pub used: Usage,
    /// How the result was published.
    pub result: Option<Published>,
    /// Why it ended before its tasks did.
    pub failure: Option<String>,
    /// Lines that show why.
    pub failing_lines: Vec<String>,
    /// Its tasks in plan order.
    pub tasks: Vec<TaskView>,
}

/// A task as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// One line.
    pub title: String,
    /// The agent's name.
    pub agent: String,
    /// Where it is.
    pub state: TaskWord,
    /// More about the state, in a few words: what it waits for, what failed.
    pub detail: Option<String>,
    /// When a wait ends.
    pub until: Option<Timestamp>,
    /// The tasks that it needs, added dependencies included.
    pub needs: Vec<TaskId>,
    /// Paths and globs that it says it touches.
    pub files: Vec<String>,
    /// The plan's estimate.
    pub estimate_minutes: Option<u32>,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The attempt that is going on, or the last one.
    pub attempt: Option<AttemptId>,
    /// The agent's thread.
    pub thread: Option<String>,
    /// What was used.
    pub used: Usage,
    /// How much its work changes.
    pub change: Option<ChangeStat>,
    /// Its newest work.
    pub work: Option<CommitId>,
    /// The target's commit that brought it.
    pub commit: Option<CommitId>,
    /// Receipts of its newest landing.
    pub receipts: Vec<Receipt>,
    /// How much of each side of a conflict was kept.
    pub kept: Vec<Kept>,
    /// What its newest landing brings that something executes later.
    #[serde(default, skip_serializing_if = "RunsLater::is_empty")]
    pub runs_later: RunsLater,
    /// The open question.
    pub question: Option<QuestionView>,
    /// Lines that show why it failed or is tried again.
    pub failing_lines: Vec<String>,
    /// What the agent does at this moment; only in live views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity: Option<String>,
}

impl TaskView {
    /// A task of a plan that nobody has begun; `agent` works on it if it names no other.
    pub fn planned(task: &PlanTask, agent: &str, since: Timestamp) -> Self {
        Self {
            id: task.id.clone(),
            title: task.title.clone(),
            agent: task.agent.clone().unwrap_or_else(|| agent.to_owned()),
            state: TaskWord::Waiting,
            detail: None,
            until: None,
            needs: task.depends_on.clone(),
            files: task.files.clone(),
            estimate_minutes: task.estimate_minutes,
            since,
            started_at: None,
            attempts: 0,
            attempt: None,
            thread: None,
            used: Usage::default(),
            change: None,
            work: None,
            commit: None,
            receipts: Vec::new(),
            kept: Vec::new(),
            runs_later: RunsLater::default(),
            question: None,
            failing_lines: Vec::new(),
            activity: None,
        }
    }
}

/// A question as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QuestionView {
    /// Its id.
    pub id: QuestionId,
    /// What is asked, with what a yes and a no lead to.
    pub text: String,
    /// The work that a yes is to; it has to name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<CommitId>,
    /// When it was asked.
    pub asked_at: Timestamp,
}
