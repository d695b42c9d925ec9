//! Topics: the events that callers subscribe to by name, computed from the facts of the log, and
//! their payloads.

mod graph;

use serde::{Deserialize, Serialize};

use crate::shared::{LockEnd, SessionEnd};
use crate::{
    AgentId, CommitId, LandingId, LockId, LockKind, QuestionId, RefId, RunId, SessionId, TaskId,
    Timestamp, WorktreeId,
};

pub use graph::GraphNews;

/// A pushed event: `{topic, data, timestamp, seq}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TopicEvent {
    /// The topic and its payload.
    #[serde(flatten)]
    pub news: News,
    /// When it happened.
    pub timestamp: Timestamp,
    /// The position in the log: go on from here to miss nothing. What is not kept bears the
    /// position of the last kept event before it.
    pub seq: u64,
}

macro_rules! topics {
    ($( $(#[doc = $doc:literal])+ $name:ident($data:ident) = $wire:literal; )*) => {
        /// What happened, by topic.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(tag = "topic", content = "data")]
        pub enum News {
            $( $(#[doc = $doc])+ #[serde(rename = $wire)] $name($data), )*
        }

        impl News {
            /// The name of the topic.
            pub fn topic(&self) -> &'static str {
                match self { $( Self::$name(_) => $wire, )* }
            }
        }

        /// Every topic and what it tells.
        pub const TOPICS: &[(&str, &str)] = &[ $( ($wire, concat!($($doc),+).trim_ascii()), )* ];
    };
}

topics! {
    /// A lock was granted, renewed, or is free again.
    LockChanged(LockNews) = "lock.changed";
    /// Tokens were used or set aside, or the line of the warning was crossed.
    TokensUpdated(TokenNews) = "tokens.updated";
    /// An agent registered, came back, or was not heard of for too long.
    AgentStatus(AgentNews) = "agent.status";
    /// A task goes on: its state changed, or its agent did something.
    TaskProgress(TaskProgress) = "task.progress";
    /// A task is done.
    TaskCompleted(TaskCompleted) = "task.completed";
    /// A task could not be done, or was cancelled.
    TaskFailed(TaskFailed) = "task.failed";
    /// A file was written through the server.
    FileChanged(FileNews) = "fs.changed";
    /// A session's tree was committed, or a branch pushed.
    VcsChanged(VcsNews) = "vcs.changed";
    /// A landing took a step.
    MergeChanged(MergeNews) = "merge.changed";
    /// A session began or ended, somebody came or went, or it stands somewhere else.
    SessionChanged(SessionNews) = "session.changed";
    /// The work graph changed, or somebody took or let go of a case.
    GraphChanged(GraphNews) = "graph.changed";
    /// A worktree of sessions took a step.
    WorktreeChanged(WorktreeNews) = "worktree.changed";
    /// A person is needed.
    QuestionAsked(QuestionNews) = "question.asked";
    /// How one signs in changed.
    AuthChanged(AuthNews) = "auth.changed";
}

/// See `lock.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum LockNews {
    /// It is held.
    Acquired {
        /// The lock.
        lock_id: LockId,
        /// What is locked.
        path: String,
        /// What it covers.
        kind: LockKind,
        /// Who holds it.
        holder: SessionId,
        /// Its fence.
        fence: u64,
        /// When it ends by itself.
        expires_at: Timestamp,
    },
    /// It is held for longer.
    Renewed {
        /// The lock.
        lock_id: LockId,
        /// When it ends by itself.
        expires_at: Timestamp,
    },
    /// It is free.
    Released {
        /// The lock.
        lock_id: LockId,
        /// Why.
        why: LockEnd,
    },
}

/// See `tokens.updated`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum TokenNews {
    /// The limits changed.
    Limited {
        /// All agents together; 0 is no limit.
        total_budget: u64,
        /// From here on a warning is given.
        warning_threshold: u64,
    },
    /// Some were set aside for a submitted task.
    Reserved {
        /// For which.
        task_id: TaskId,
        /// How many.
        tokens: u64,
    },
    /// What was set aside for a submitted task is free, and some were used.
    Settled {
        /// By which.
        task_id: TaskId,
        /// How many were used.
        tokens: u64,
    },
    /// A registered agent used some.
    Used {
        /// Which.
        agent_id: AgentId,
        /// How many.
        tokens: u64,
    },
    /// The line of the warning was crossed.
    Warning {
        /// How many are used.
        used: u64,
    },
}

/// See `agent.status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AgentNews {
    /// The agent.
    pub agent_id: AgentId,
    /// How it is.
    pub status: AgentWord,
}

/// How a registered agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentWord {
    /// It was heard of lately.
    Active,
    /// It was not heard of for too long.
    Lost,
}

/// See `task.progress`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskProgress {
    /// The task: as it was submitted, or `RUN/TASK`.
    pub task_id: String,
    /// The run that does it.
    pub run: RunId,
    /// What happens, in a line.
    pub message: String,
    /// Tokens used so far in this attempt, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// See `task.completed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskCompleted {
    /// The task: as it was submitted, or `RUN/TASK`.
    pub task_id: String,
    /// The run that did it.
    pub run: RunId,
    /// The commit that holds its work; absent when nothing was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The branch on which the user finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// See `task.failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskFailed {
    /// The task: as it was submitted, or `RUN/TASK`.
    pub task_id: String,
    /// The run that tried.
    pub run: RunId,
    /// Why.
    pub reason: String,
}

/// See `fs.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileNews {
    /// By which session.
    pub session_id: SessionId,
    /// The file, relative to the session's tree.
    pub path: String,
    /// The SHA-256 of its content; absent when it was deleted.
    pub sha: Option<String>,
}

/// See `vcs.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum VcsNews {
    /// A commit was made.
    Committed {
        /// By which session.
        session_id: SessionId,
        /// The commit.
        commit: CommitId,
    },
    /// A branch was pushed.
    Pushed {
        /// By which session.
        session_id: SessionId,
        /// The remote's name.
        remote: String,
        /// The branch.
        branch: String,
    },
}

/// See `merge.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct MergeNews {
    /// The landing.
    pub landing: LandingId,
    /// `RUN/TASK`.
    pub task_id: String,
    /// Where it is.
    pub step: MergeStep,
}

/// Where a landing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MergeStep {
    /// The work is being merged.
    Merging,
    /// The work does not merge cleanly; a resolver is asked.
    Conflicted,
    /// The merged tree is being checked.
    Verifying,
    /// The checks have run.
    Checked,
    /// The target holds it.
    Merged,
    /// It ended without a merge.
    Ended,
}

/// See `session.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum SessionNews {
    /// It began.
    Started {
        /// The session.
        session_id: SessionId,
        /// The tree that it works on.
        cwd: String,
    },
    /// It is over.
    Ended {
        /// The session.
        session_id: SessionId,
        /// Why.
        why: SessionEnd,
    },
    /// A connection holds it.
    Present {
        /// The session.
        session_id: SessionId,
    },
    /// No connection holds it any more.
    Quiet {
        /// The session.
        session_id: SessionId,
    },
    /// Another session has what it left.
    TakenOver {
        /// The session.
        session_id: SessionId,
        /// Which other one.
        by: SessionId,
    },
    /// It stands somewhere else.
    Stands {
        /// The session.
        session_id: SessionId,
        /// The reference that says where.
        ref_id: RefId,
        /// Its version.
        version: u64,
    },
}

/// See `worktree.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorktreeNews {
    /// The worktree.
    pub worktree_id: WorktreeId,
    /// What happened.
    pub change: WorktreeChange,
    /// Why, where it is not what was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What happened to a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorktreeChange {
    /// It is going to be made.
    Planned,
    /// It is there.
    Made,
    /// It cannot be made.
    Failed,
    /// Its work goes into the one above.
    Merging,
    /// Its work is in there.
    Merged,
    /// Its work is not in there, and the one above is as it was.
    TakenBack,
    /// It is being given back.
    Reclaiming,
    /// It holds something and stays.
    Kept,
    /// It is gone.
    Reclaimed,
}

/// See `question.asked`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct QuestionNews {
    /// The question.
    pub question: QuestionId,
    /// `RUN/TASK`.
    pub task_id: String,
    /// What is asked.
    pub text: String,
}

/// See `auth.changed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum AuthNews {
    /// The daemon's key was replaced: connect again with the new one.
    KeyRotated {},
}
