//! What the methods of files and version control are given and what they answer. All of them act
//! on the tree of a session and are confined to it.

use serde::{Deserialize, Serialize};

use crate::{CommitId, SessionName};

/// How the content of a file is written in JSON.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// As text.
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    /// As base64, for content that is no text.
    Base64,
}

/// See `fs.read`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRead {
    /// The file, relative to the session's tree.
    pub path: String,
    /// How its content is answered.
    #[serde(default)]
    pub encoding: Encoding,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileContent {
    /// Its content.
    pub content: String,
    /// How the content is written.
    pub encoding: Encoding,
    /// The SHA-256 of its bytes, in hex.
    pub sha: String,
}

/// See `fs.write`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileWrite {
    /// The file, relative to the session's tree. Directories that are missing are made.
    pub path: String,
    /// Its new content.
    pub content: String,
    /// How the content is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// The SHA-256 in hex of the content that is replaced. Optional while the session holds the
    /// file's lock, or when the file is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preimage_sha: Option<String>,
    /// The fence of the lock under which this is written; a stale one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// A file was written, and is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileWritten {
    /// Always true: what was not written is an error.
    pub success: bool,
    /// The SHA-256 of the new content, in hex.
    pub new_sha: String,
}

/// See `fs.patch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilePatch {
    /// The change, as git writes it.
    pub unified_diff: String,
    /// The commit that it was made against. Files that differ from it in the tree are a conflict.
    pub base_commit: CommitId,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// A patch was applied as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FilesPatched {
    /// Always true: a patch that does not fit changes nothing and is an error.
    pub success: bool,
    /// The files that it changed, in its order.
    pub applied_files: Vec<String>,
}

/// See `vcs.diff`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeDiff {
    /// Only this file or directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The commit to compare with, instead of what is checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// What a session's tree has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TreeChanges {
    /// Everything together: what is staged, what is not, and new files.
    pub diff: String,
    /// What is staged.
    pub staged: String,
    /// What is not, in files that git knows.
    pub unstaged: String,
    /// New files.
    pub untracked: String,
}

/// See `vcs.commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeCommit {
    /// The message.
    pub message: String,
    /// Only these files. Without it, everything that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}

/// A commit was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TreeCommitted {
    /// Always true: a commit that was not made is an error.
    pub success: bool,
    /// The commit.
    pub commit_sha: CommitId,
}

/// See `vcs.push`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BranchPush {
    /// The name of a remote that the repository has.
    pub remote: String,
    /// The branch.
    pub branch: String,
    /// One of the caller's sessions. Without it, the connection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionName>,
}
