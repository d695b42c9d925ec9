//! The work of sessions: who is there, on which worktrees, and where each of them stands. What one
//! session leaves another can take over by these facts alone.

use serde::{Deserialize, Serialize};

use crate::{CommitId, Principal, SessionId};

/// Counts of one kind of thing, from 1: given once, and accepted wherever the thing is named.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            schemars::JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A worktree that is kept for sessions.
    WorktreeId
}
number! {
    /// A reference to where a session stands.
    RefId
}

/// A session, by its name or by its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum SessionName {
    /// Its number, which was given to it.
    Number(u64),
    /// Its name.
    Name(SessionId),
}

impl From<SessionId> for SessionName {
    fn from(session: SessionId) -> Self {
        Self::Name(session)
    }
}

impl std::fmt::Display for SessionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A process of this system, for as long as the system runs: a number alone is used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProcessMark {
    /// Its number.
    pub pid: i32,
    /// When it began, in ticks since the start of the system.
    pub started: u64,
    /// Which start of the system that was.
    pub boot: String,
}

/// What a session is opened for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// To begin something, on a worktree of its own.
    NewWork,
    /// To take over what another session left.
    ResumeWork,
    /// The second if the same owner left something on the same terminal, else the first.
    #[default]
    Auto,
}

/// Which place a worktree has among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorktreeKind {
    /// The user's own checkout, which all others come from.
    Main,
    /// A session's own.
    SessionRoot,
    /// For a part of the work, below another.
    Task,
}

/// How far a worktree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorktreeState {
    /// It is being made.
    Planned,
    /// It can be worked in.
    Ready,
    /// Its work is being put into the worktree above.
    Merging,
    /// It is being given back.
    Reclaiming,
}

/// Whether there is something to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefStatus {
    /// There is.
    Active,
    /// What was begun is done.
    Completed,
}

/// What in the work graph a session stands at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RefNode {
    /// Its level.
    pub node_type: String,
    /// The node.
    pub node_id: u64,
}

/// Where a session stands: enough to go on from, for itself after it forgot, and for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkRef {
    /// The reference; it stays the same while it is about the same thing.
    pub id: RefId,
    /// Grows with every change.
    pub version: u64,
    /// Whether there is something to go on with.
    pub status: RefStatus,
    /// What is being worked on, where that is a node of the work graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<RefNode>,
    /// What has been done, and what it is about.
    pub summary: String,
    /// What comes next.
    pub next_action: String,
    /// The files that have to be read before going on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required_files: Vec<String>,
}

/// How putting the work of a worktree into the one above ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum MergeEnd {
    /// It is in there.
    Merged,
    /// Nothing of it is in there.
    TakenBack {
        /// Why.
        why: String,
    },
}

/// A fact about the work of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "type")]
pub enum WorkEvent {
    /// A session that began was opened for work, by somebody who said this of itself.
    #[serde(rename = "session.opened")]
    SessionOpened {
        /// The session.
        session: SessionId,
        /// For what; never `auto`.
        intent: Intent,
        /// Which role its agent wishes to have. What it may do is the token's to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<String>,
        /// Who works in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<String>,
        /// On which terminal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terminal: Option<String>,
        /// What was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<String>,
    },
    /// A connection is there that holds the session.
    #[serde(rename = "session.present")]
    SessionPresent {
        /// The session.
        session: SessionId,
        /// Which connection, counted.
        connection: u64,
        /// The process at its other end, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<ProcessMark>,
    },
    /// A session that no connection holds was heard of. Not every time is kept.
    #[serde(rename = "session.heard")]
    SessionHeard {
        /// The session.
        session: SessionId,
    },
    /// The last connection that held the session is gone.
    #[serde(rename = "session.quiet")]
    SessionQuiet {
        /// The session.
        session: SessionId,
    },
    /// What a session left belongs to another one; the one that left it ends with this.
    #[serde(rename = "session.taken_over")]
    SessionTakenOver {
        /// Who left it.
        session: SessionId,
        /// Who has it now.
        by: SessionId,
    },
    /// A worktree is to be made, or is the user's own.
    #[serde(rename = "worktree.planned")]
    WorktreePlanned {
        /// The worktree.
        worktree: WorktreeId,
        /// Whose it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        /// The one above.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<WorktreeId>,
        /// Its place among the others.
        kind: WorktreeKind,
        /// Where, absolute.
        path: String,
        /// Its branch, new with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
        /// The commit that it begins at; absent for the user's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<CommitId>,
        /// The node of the work graph that it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<u64>,
        /// Who had it made; absent for the user's own, and in older logs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
    /// A worktree is there.
    #[serde(rename = "worktree.made")]
    WorktreeMade {
        /// The worktree.
        worktree: WorktreeId,
    },
    /// A worktree cannot be made, and is none.
    #[serde(rename = "worktree.failed")]
    WorktreeFailed {
        /// The worktree.
        worktree: WorktreeId,
        /// Why.
        why: String,
    },
    /// The work of a worktree goes into the one above now.
    #[serde(rename = "worktree.merging")]
    WorktreeMerging {
        /// The worktree.
        worktree: WorktreeId,
        /// Where the one above is.
        from: CommitId,
        /// Where it will be.
        to: CommitId,
        /// What is merged.
        head: CommitId,
    },
    /// That is over.
    #[serde(rename = "worktree.merge_ended")]
    WorktreeMergeEnded {
        /// The worktree.
        worktree: WorktreeId,
        /// How.
        end: MergeEnd,
    },
    /// A worktree is being given back: nothing in it is lost by that.
    #[serde(rename = "worktree.reclaiming")]
    WorktreeReclaiming {
        /// The worktree.
        worktree: WorktreeId,
        /// Where it is at.
        head: CommitId,
    },
    /// A worktree turned out to hold something, and stays.
    #[serde(rename = "worktree.kept")]
    WorktreeKept {
        /// The worktree.
        worktree: WorktreeId,
        /// What.
        why: String,
    },
    /// A worktree is gone.
    #[serde(rename = "worktree.reclaimed")]
    WorktreeReclaimed {
        /// The worktree.
        worktree: WorktreeId,
    },
    /// A session stands somewhere else.
    #[serde(rename = "ref.changed")]
    RefChanged {
        /// The session.
        session: SessionId,
        /// Where.
        reference: WorkRef,
    },
    /// Somebody who goes on with it has read where a session stands.
    #[serde(rename = "ref.acknowledged")]
    RefAcknowledged {
        /// The session.
        session: SessionId,
        /// The reference.
        reference: RefId,
        /// As it was read.
        version: u64,
    },
}

impl WorkEvent {
    /// The name of its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SessionOpened { .. } => "session.opened",
            Self::SessionPresent { .. } => "session.present",
            Self::SessionHeard { .. } => "session.heard",
            Self::SessionQuiet { .. } => "session.quiet",
            Self::SessionTakenOver { .. } => "session.taken_over",
            Self::WorktreePlanned { .. } => "worktree.planned",
            Self::WorktreeMade { .. } => "worktree.made",
            Self::WorktreeFailed { .. } => "worktree.failed",
            Self::WorktreeMerging { .. } => "worktree.merging",
            Self::WorktreeMergeEnded { .. } => "worktree.merge_ended",
            Self::WorktreeReclaiming { .. } => "worktree.reclaiming",
            Self::WorktreeKept { .. } => "worktree.kept",
            Self::WorktreeReclaimed { .. } => "worktree.reclaimed",
            Self::RefChanged { .. } => "ref.changed",
            Self::RefAcknowledged { .. } => "ref.acknowledged",
        }
    }
}
