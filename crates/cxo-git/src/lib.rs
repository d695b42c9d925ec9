//! The only git: the user's repository (read only but for what was asked for), the private hub,
//! workspaces, snapshots, merges.
//!
//! Git works in three tiers. The user's repository is never written without being asked; the hub
//! is a bare repository of ours alone that borrows the user's objects; workspaces belong to
//! agents. No git process of ours ever reads configuration, hooks or attributes that an agent can
//! write: a workspace's files are read and written with the hub's configuration and an index of
//! ours.
//!
//! The calls block and may come from any thread. This crate knows no store, agent or core; it
//! moves refs when it is told to and decides nothing.

mod agent_commits;
mod dialogue;
mod error;
mod fail_point;
mod files;
mod history;
mod hub;
mod landing;
mod linked_worktree;
mod markers;
mod names;
mod objects;
mod patch;
mod pipes;
mod preflight;
mod process;
mod provenance;
mod publish;
mod refs;
mod repository;
mod session_tree;
mod shown;
mod snapshot;
mod tree_files;
mod workspace;
mod workspace_git;

pub use agent_commits::{AgentCommit, Unpinned};
pub use dialogue::MAX_ANSWER_FOR;
pub use error::GitError;
pub use hub::Hub;
pub use landing::{ChangeStatus, ConflictKind, ConflictedFile, DiffStat, FileChange, Merge};
pub use linked_worktree::{Holds, LinkedWorktree, Reclaim};
pub use markers::count_conflicts;
pub use names::{RepoPath, branch_ref};
pub use objects::{Author, CommitSpec, MAX_BLOB_BYTES, MAX_MESSAGE_BYTES};
pub use patch::{BaseFile, MAX_PATCH_BYTES, Patch, PatchError};
pub use preflight::{Note, Preflight};
pub use process::{GIT_FLOOR, GitProgram, MAX_OUTPUT_BYTES, MAX_RUN_FOR};
pub use provenance::Provenance;
pub use publish::Published;
pub use refs::Expected;
pub use repository::{Dirty, Head, ObjectFormat, Repository};
pub use session_tree::{
    CommitScope, DiffSpec, MergePlan, MergeSpec, Resumed, SessionCommit, SessionTree,
    SessionTreeError, TreeDiff, TreeMerge,
};
pub use shown::printable;
pub use snapshot::{SkipReason, Skipped, Snapshot, SnapshotSpec};
pub use tree_files::{
    FileContent, FileEdit, FileError, FileKind, MAX_EDITS, MAX_FILE_BYTES, Mode, NewContent,
    Preimage, TreeFiles, digest,
};
pub use workspace::{AgentPaths, Origin, Workspace, WorkspaceKind, WorkspaceSpec};
