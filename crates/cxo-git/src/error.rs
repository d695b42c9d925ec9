//! Why something with git could not be done: one closed enum, each variant with what a person
//! needs to act on it.
//!
//! It knows nothing of runs and tasks; the daemon adds what was kept and what to type next where
//! this crate cannot know it.

use std::path::PathBuf;
use std::time::Duration;

use cxo_protocol::CommitId;

use crate::refs::Expected;

/// Why something with git could not be done.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no `git` on the path.
    #[error("git was not found on PATH; install git {floor} or newer")]
    GitMissing {
        /// The oldest version that will do.
        floor: &'static str,
    },
    /// The git found is older than what merging without a working tree needs.
    #[error("git {found} is too old: {floor} or newer is needed")]
    GitTooOld {
        /// What `git version` said.
        found: String,
        /// The oldest version that will do.
        floor: &'static str,
    },
    /// No repository at or above the directory.
    #[error("not a git repository: {}; `git init` makes one", path.display())]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// A bare repository has no working tree to start from.
    #[error("a bare repository has no working tree: {}; start in a clone of it", path.display())]
    BareRepository {
        /// The repository.
        path: PathBuf,
    },
    /// The directory is inside a git directory and not in a working tree.
    #[error("not in a working tree: {}; start in the checkout", path.display())]
    NoWorkTree {
        /// Where the search began.
        path: PathBuf,
    },
    /// Git refuses a repository that belongs to somebody else.
    #[error(
        "the repository {} belongs to another user; `git config --global --add safe.directory '{}'` trusts it",
        path.display(),
        path.display()
    )]
    ForeignOwner {
        /// Where the search began.
        path: PathBuf,
    },
    /// A format extension that the installed git does not know.
    #[error("the repository uses a format that this git does not know: {why}")]
    UnknownFormat {
        /// Git's words.
        why: String,
    },
    /// No commit yet, so nothing to start from.
    #[error(
        "the repository has no commit yet; `git commit --allow-empty -m \"first commit\"` makes one"
    )]
    EmptyRepository,
    /// A partial clone lacks objects of the base, and fetching them is not ours to do.
    #[error(
        "a partial clone lacks {missing} objects of the base; `git fetch --refetch --no-filter` brings them"
    )]
    PartialClone {
        /// How many objects of the base are not there.
        missing: usize,
    },
    /// A revision that could be taken for an option, a range or something else.
    #[error("not a revision: {shown:?}: {why}")]
    BadRevision {
        /// The text, printable.
        shown: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A well-formed revision that names no commit.
    #[error("no commit is called {shown:?}; `git branch -a` lists the branches")]
    UnknownRevision {
        /// The text, printable.
        shown: String,
    },
    /// A name that git would not take for a ref or a branch.
    #[error("not a name for a branch or ref: {shown:?}: {why}")]
    BadRefName {
        /// The text, printable.
        shown: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The ref was not where the caller thought; nothing was written.
    #[error("{name} moved: expected {expected}, found {}", shown_commit(actual.as_ref()))]
    Moved {
        /// The ref.
        name: String,
        /// What the caller expected.
        expected: Expected,
        /// What is there.
        actual: Option<CommitId>,
    },
    /// Git refused to write a ref for a reason other than its old value.
    #[error("{name} could not be written: {why}")]
    RefRefused {
        /// The ref.
        name: String,
        /// Git's words.
        why: String,
    },
    /// The branch is there with other content; nothing was written.
    #[error("the branch {branch} is already there, at {actual}; choose another name or delete it")]
    BranchExists {
        /// The branch.
        branch: String,
        /// Where it is.
        actual: CommitId,
    },
    /// Git's checker does not let content into the user's repository.
    #[error("the content cannot be published, git refuses it: {why}")]
    ContentRefused {
        /// Git's words.
        why: String,
    },
    /// The object is not in the hub.
    #[error("object {name} is missing in the hub")]
    MissingObject {
        /// What was asked for.
        name: String,
    },
    /// Two histories without a common commit.
    #[error("{ours} and {theirs} have no commit in common and cannot be merged")]
    NoMergeBase {
        /// The target.
        ours: CommitId,
        /// What was to be merged into it.
        theirs: CommitId,
    },
    /// The hub was made for a repository of another object format.
    #[error("the hub at {} has another object format than the repository", path.display())]
    HubMismatch {
        /// The hub.
        path: PathBuf,
    },
    /// Something that is not ours is where a workspace should be; it was left alone.
    #[error("{} is there already and is not a workspace of ours; it was left alone", path.display())]
    WorkspaceOccupied {
        /// The path.
        path: PathBuf,
    },
    /// The workspace directory is gone.
    #[error("the workspace {} is gone", path.display())]
    WorkspaceGone {
        /// The path.
        path: PathBuf,
    },
    /// The workspace directory is now something else: a symlink, a file, another directory.
    #[error("the workspace {} was replaced by something else; it was not followed", path.display())]
    WorkspaceReplaced {
        /// The path.
        path: PathBuf,
    },
    /// The path was never made a workspace by this hub.
    #[error("{} is not a workspace of this hub", path.display())]
    WorkspaceUnknown {
        /// The path.
        path: PathBuf,
    },
    /// A workspace of kind `none` holds no commit and cannot be moved or pinned.
    #[error("the workspace {} was made without git", path.display())]
    WorkspaceWithoutGit {
        /// The path.
        path: PathBuf,
    },
    /// The disk is full; what was there before is unchanged.
    #[error("no space left on the disk while running `{command}`; free some and resume")]
    DiskFull {
        /// The command.
        command: String,
    },
    /// The time limit passed and the process was ended.
    #[error("`{command}` took longer than {} s and was ended", limit.as_secs())]
    TimedOut {
        /// The command.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// More output than the cap; the process was ended.
    #[error("`{command}` printed more than {limit} bytes and was ended")]
    OutputTooLong {
        /// The command.
        command: String,
        /// The cap in bytes.
        limit: usize,
    },
    /// Git failed.
    #[error("`{command}` failed{}: {stderr}", shown_code(*code))]
    Failed {
        /// The command, printable.
        command: String,
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// The end of what it wrote to stderr, printable.
        stderr: String,
    },
    /// Git answered something that its manual does not allow.
    #[error("`{command}` answered something unexpected: {what}")]
    Unexpected {
        /// The command.
        command: String,
        /// What was wrong with the answer.
        what: String,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, for instance `write`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl GitError {
    /// For `map_err`: the action and the path beside the system's reason.
    pub(crate) fn io(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

impl GitError {
    /// Whether somebody killed the process: the next one may live.
    pub(crate) fn is_kill(&self) -> bool {
        matches!(self, Self::Failed { code: None, .. })
    }
}

fn shown_commit(commit: Option<&CommitId>) -> String {
    commit.map_or_else(|| "nothing".to_owned(), |id| id.short().to_owned())
}

fn shown_code(code: Option<i32>) -> String {
    code.map_or_else(|| " by a signal".to_owned(), |code| format!(" with exit code {code}"))
}
