//! Why a session's tree was not compared, committed or pushed: one closed enum.

use std::path::PathBuf;

use cxo_protocol::TreePath;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::tree_files::FileError;

/// Why a session's tree was not compared, committed or pushed. Unless it says otherwise, nothing
/// was changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionTreeError {
    /// Git itself could not do it.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The directory is neither the checkout nor a worktree of it.
    #[error("{} is no working tree of this repository; `git worktree list` shows them", path.display())]
    NotOfRepository {
        /// The directory.
        path: PathBuf,
    },
    /// Its `.git` leads somewhere else than the repository knows.
    #[error("the .git of {} was replaced and is not followed; `git worktree repair` mends it", path.display())]
    Swapped {
        /// The worktree.
        path: PathBuf,
    },
    /// Something other than a regular file at the base.
    #[error("{path} is a symlink, folder or submodule at the base; only regular files are patched")]
    NoRegularFile {
        /// The path.
        path: TreePath,
    },
    /// The tree is as the last commit.
    #[error("there is nothing to commit")]
    NothingToCommit,
    /// A merge or the like has to be ended first.
    #[error("a {what} is under way in the tree; end it with git first")]
    UnderWay {
        /// What.
        what: &'static str,
    },
    /// A file whose content a filter program would change (Git LFS, for instance).
    #[error("{path} goes through the filter `{filter}`, which is not run here; commit it with git")]
    Filtered {
        /// The file.
        path: RepoPath,
        /// The filter's name, printable.
        filter: String,
    },
    /// Files with conflicts in the index.
    #[error("the index has files with conflicts; `git status` lists them")]
    Unmerged,
    /// Another git process writes the index, or one that died left its lock.
    #[error("{} is there: another git is at work, or died; remove the file if none is", path.display())]
    IndexLocked {
        /// The lock.
        path: PathBuf,
    },
    /// Somebody changed the index meanwhile.
    #[error("the index was changed meanwhile; commit again")]
    IndexChanged,
    /// No remote of that name is configured.
    #[error("no remote is called {name:?}; `git remote -v` lists them")]
    UnknownRemote {
        /// The name, printable.
        name: String,
    },
    /// The address of a remote is of a kind that could run a program, or is no address.
    #[error("the address of the remote {name:?} is not taken: {why}")]
    RemoteRefused {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The other side did not take the branch.
    #[error("{remote} did not take {branch}: {why}")]
    PushRejected {
        /// The remote.
        remote: String,
        /// The branch.
        branch: String,
        /// Git's words.
        why: String,
    },
    /// Both sides changed the same; nothing was merged.
    #[error("the merge does not come out clean: {}", listed(files))]
    MergeConflict {
        /// The files.
        files: Vec<RepoPath>,
    },
    /// What is uncommitted in the tree would be written over.
    #[error("uncommitted files are in the way of the merge: {}", listed(files))]
    InTheWay {
        /// The files.
        files: Vec<RepoPath>,
    },
    /// A merge failed half-way, and what it had done could not be taken back. Resuming it does.
    #[error("the merge is not done and not taken back yet: {why}")]
    NotTakenBack {
        /// What failed, and what failed then.
        why: String,
    },
    /// A merge would change something other than a regular file, or one whose name is not UTF-8.
    #[error("{path} is a symlink, a submodule or has a name that is no text; merge it with git")]
    Unusual {
        /// The path.
        path: RepoPath,
    },
    /// A file could not be changed, or was not as expected.
    #[error(transparent)]
    Files(#[from] FileError),
    /// Something lies where a worktree is to be made.
    #[error("something lies at {} already", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// A directory that bears no marker of ours is not removed.
    #[error("{} is not the worktree that was made there, and is left alone", path.display())]
    NotOurs {
        /// Where.
        path: PathBuf,
    },
}

/// The files that an error names; more are only counted.
const MAX_LISTED: usize = 20;

/// The first of some files.
pub(crate) fn listed(files: &[RepoPath]) -> String {
    let mut shown: Vec<String> = files.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    if files.len() > MAX_LISTED {
        shown.push(format!("and {} more", files.len() - MAX_LISTED));
    }
    shown.join(", ")
}
