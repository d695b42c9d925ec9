//! What the methods of worktrees are given and what they answer.

use serde::{Deserialize, Serialize};

use super::work::WorktreeView;
use crate::{CommitId, SessionName, WorktreeId};

/// See `scheduler.decide_worktree`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorktreeQuestion {
    /// How many files are likely to change.
    pub changed_files: u64,
    /// How many minutes it is likely to take.
    pub estimate_minutes: u64,
    /// How risky it is: 0 not at all, 1 a little, and so on.
    pub risk: u64,
    /// How many others work at the same time.
    pub parallel_workers: u64,
    /// How many of its paths others work on.
    pub conflicting_paths: u64,
}

/// Where a piece of work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// In the tree that is there.
    Shared,
    /// In a worktree of its own.
    Worktree,
}

/// Whether a piece of work needs a worktree of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorktreeAdvice {
    /// Where it is done.
    pub mode: Isolation,
    /// The points.
    pub score: u64,
    /// What gave them.
    pub reasons: Vec<String>,
}

/// See `worktree.create`: below the user's own checkout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorktreeCreate {
    /// The node of the work graph that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<u64>,
    /// The session that is to have it: one of the caller's. Without it, the connection's, or nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
    /// Its branch, which must not be there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where. Only the user may say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it begins at; where the one above is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    /// Always true: a worktree is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_on_disk: Option<bool>,
}

/// See `worktree.spawn`: below another worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorktreeSpawn {
    /// The session that is to have it.
    pub session_id: SessionName,
    /// The one above.
    pub parent_worktree_id: WorktreeId,
    /// The node of the work graph that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<u64>,
    /// Its branch, which must not be there yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where. Only the user may say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it begins at; where the one above is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    /// Always true: a worktree is on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_on_disk: Option<bool>,
}

/// The worktrees that are kept for sessions, and the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorktreeList {
    /// The oldest first.
    pub worktrees: Vec<WorktreeView>,
}

/// See `worktree.merge_to_parent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorktreeMerge {
    /// Whose it is.
    pub session_id: SessionName,
    /// The worktree.
    pub worktree_id: WorktreeId,
}

/// The work of a worktree is in the one above, and the worktree is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorktreeMerged {
    /// Always true.
    pub success: bool,
    /// The one above.
    pub parent_id: WorktreeId,
    /// Where that one is now.
    pub commit_sha: CommitId,
    /// Whether the worktree is gone.
    pub reclaimed: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_kept: Option<String>,
}
