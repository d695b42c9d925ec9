//! Linked worktrees of the user's repository, in which sessions work and which a person sees in
//! `git worktree list`: made whole or made again, and given back when nothing in them would be lost.
//!
//! ```text
//! let linked = LinkedWorktree { repository, own, path, branch, marker };
//! linked.add(&base)?;                     // again after a kill: found, or made anew
//! linked.reclaim(&hub, &head, "w7")?;     // pinned, then gone; kept if something is in it
//! ```
//!
//! No hook, filter or driver of the repository runs: files are written as git stores them, with a git
//! directory of ours (`session_tree`). Only what bears our marker is ever removed. It knows no sessions.

use std::fs;
use std::path::{Path, PathBuf};

use cxo_protocol::{CommitId, RunId};

use crate::error::GitError;
use crate::fail_point;
use crate::files::{make_directory, remove_tree, replace_file, sync_directory};
use crate::hub::Hub;
use crate::names::{RepoPath, branch_ref};
use crate::refs::Expected;
use crate::repository::{Repository, commit_id};
use crate::session_tree::{SessionTree, SessionTreeError, linked_git_dir};
use crate::workspace::Origin;
use crate::workspace_git::copy_index;

/// The file in the git directory of a worktree that says that it is ours, and which one.
const MARKER: &str = "cxo-worktree";
/// Beside our git directory while a worktree is being made: what lies at its place was given to nobody.
const MAKING: &str = "making";
/// Commits that only the log of a worktree's HEAD names and that are pinned: more than a session makes.
const MAX_LOGGED: usize = 100;
/// Where pinned work is found again.
const PINS: &str = "refs/cxo/attempts/";

/// A worktree of ours.
#[derive(Debug, Clone)]
pub struct LinkedWorktree<'a> {
    /// The repository that it is linked to.
    pub repository: &'a Repository,
    /// A directory of ours for it alone, outside of it.
    pub own: PathBuf,
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its branch.
    pub branch: String,
    /// Which one it is.
    pub marker: String,
}

/// What became of a worktree that was to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reclaim {
    /// It is gone.
    Gone,
    /// It stays.
    Kept(Holds),
}

/// Why a worktree stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Files that are in no commit.
    Uncommitted(Vec<RepoPath>),
    /// It is not where it was: somebody works in it.
    Moved,
}

impl LinkedWorktree<'_> {
    /// Makes it with a new branch at `base`, or finds it. One that was half-made is made again.
    /// Something that is not ours is never touched.
    pub fn add(&self, base: &CommitId) -> Result<Origin, SessionTreeError> {
        let branch = branch_ref(&self.branch)?;
        let making = self.own.join(MAKING);
        if self.is_whole() {
            remove_tree(&making)?;
            return Ok(Origin::Found);
        }
        make_directory(&self.own)?;
        if fs::symlink_metadata(&making).is_ok() {
            self.clear_half_made(&branch, base)?;
        } else if fs::symlink_metadata(&self.path).is_ok() {
            return Err(SessionTreeError::Occupied { path: self.path.clone() });
        } else if let Some(actual) = self.repository.branch_commit(&branch)? {
            return Err(GitError::BranchExists { branch: self.branch.clone(), actual }.into());
        }
        replace_file(&making, self.marker.as_bytes())?;
        fail_point::reached("linked.begun");
        if let Some(parent) = self.path.parent() {
            make_directory(parent)?;
        }
        let null = self.repository.object_format().null();
        self.repository.run(["update-ref", &branch, base.as_str(), null])?;
        fail_point::reached("linked.branch");
        let add = self.repository.call(["worktree", "add", "-q", "--no-checkout", "--"]);
        add.args([self.path.as_os_str()]).args([&self.branch]).run()?;
        fail_point::reached("linked.added");
        let git_dir = linked_git_dir(self.repository, &canonical(&self.path)?)?;
        self.tree()?.write_all_files(base, &git_dir)?;
        fail_point::reached("linked.files");
        replace_file(&git_dir.join(MARKER), self.marker.as_bytes())?;
        sync_directory(&git_dir)?;
        fail_point::reached("linked.marked");
        remove_tree(&making)?;
        Ok(Origin::Made)
    }

    /// Gives it back: what its HEAD is and was at is pinned in the hub as the works of `pin`, then
    /// its directory, its git directory and its branch go. Asked again after a kill it goes on.
    pub fn reclaim(
        &self,
        hub: &Hub,
        head: &CommitId,
        pin: &str,
    ) -> Result<Reclaim, SessionTreeError> {
        let gone = self.put_away();
        let git_dir = self.marked_git_dir();
        if fs::symlink_metadata(&self.path).is_ok() {
            if !self.is_whole() {
                return Err(SessionTreeError::NotOurs { path: self.path.clone() });
            }
            let tree = self.tree()?;
            if let Some(holds) = holds(&tree, head)? {
                return Ok(Reclaim::Kept(holds));
            }
            self.pin_history(hub, head, pin)?;
            fail_point::reached("reclaim.pinned");
            remove_tree(&gone)?;
            fs::rename(&self.path, &gone).map_err(GitError::io("put away", &self.path))?;
        }
        fail_point::reached("reclaim.away");
        if let Some(git_dir) = git_dir {
            if gone.is_dir() {
                // Somebody may have written there in the last moment.
                let tree = self.tree_at(git_dir.clone(), gone.clone())?;
                if let Some(holds) = holds(&tree, head)? {
                    fs::rename(&gone, &self.path).map_err(GitError::io("put back", &self.path))?;
                    return Ok(Reclaim::Kept(holds));
                }
            }
            remove_tree(&git_dir)?;
        }
        fail_point::reached("reclaim.unlinked");
        let branch = branch_ref(&self.branch)?;
        if self.repository.branch_commit(&branch)?.as_ref() == Some(head)
            && !self.repository.is_checked_out(&branch)?
        {
            self.repository.run(["update-ref", "-d", &branch, head.as_str()])?;
        }
        fail_point::reached("reclaim.branch");
        remove_tree(&gone)?;
        Ok(Reclaim::Gone)
    }

    /// Its version control.
    pub fn tree(&self) -> Result<SessionTree, SessionTreeError> {
        SessionTree::open(self.repository, &self.path, &self.own)
    }

    /// Whether it is there, was made to its end, and is the one that is meant.
    pub fn is_whole(&self) -> bool {
        let git_dir = canonical(&self.path).and_then(|path| linked_git_dir(self.repository, &path));
        git_dir.is_ok_and(|git_dir| self.bears_marker(&git_dir))
    }

    fn bears_marker(&self, git_dir: &Path) -> bool {
        fs::read_to_string(git_dir.join(MARKER)).is_ok_and(|marker| marker == self.marker)
    }

    /// The same, at the place to which it was put away.
    fn tree_at(&self, git_dir: PathBuf, root: PathBuf) -> Result<SessionTree, SessionTreeError> {
        SessionTree::of(self.repository.seen_from(git_dir, root), &self.own)
    }

    /// Where it lies before it is deleted: a rename is one step, and nobody looks there.
    fn put_away(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.path.with_file_name(format!(".gone-{name}"))
    }

    /// Every git directory of a worktree of the repository.
    fn git_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let listed = fs::read_dir(self.repository.common_dir().join("worktrees"));
        listed.into_iter().flatten().flatten().map(|entry| entry.path())
    }

    fn marked_git_dir(&self) -> Option<PathBuf> {
        self.git_dirs().find(|git_dir| self.bears_marker(git_dir))
    }

    /// Takes away what an adding that was cut off left. Nobody was given it.
    fn clear_half_made(&self, branch: &str, base: &CommitId) -> Result<(), SessionTreeError> {
        let link = self.path.join(".git");
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for git_dir in self.git_dirs() {
            let to = fs::read_to_string(git_dir.join("gitdir"));
            let is_half = match &to {
                Ok(to) => Path::new(to.trim_end()) == link,
                // Cut off before it said what it is for: it is named like what it was for.
                Err(_) => git_dir.file_name().is_some_and(|own| own.to_string_lossy() == name),
            };
            if is_half {
                remove_tree(&git_dir)?;
            }
        }
        remove_tree(&self.path)?;
        match self.repository.branch_commit(branch)? {
            Some(actual) if actual == *base => {
                self.repository.run(["update-ref", "-d", branch, base.as_str()])?;
                Ok(())
            }
            Some(actual) => {
                Err(GitError::BranchExists { branch: self.branch.clone(), actual }.into())
            }
            None => Ok(()),
        }
    }

    /// Pins where it is, and what its HEAD was at and is not part of that.
    fn pin_history(&self, hub: &Hub, head: &CommitId, pin: &str) -> Result<(), SessionTreeError> {
        let log = self.marked_git_dir().map(|git_dir| git_dir.join("logs/HEAD"));
        let log = log.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let mut lost = vec![head.clone()];
        for line in log.lines().rev() {
            let Some(id) = line.split(' ').nth(1) else { continue };
            let Ok(commit) = commit_id(id.as_bytes()) else { continue };
            if lost.len() < MAX_LOGGED
                && !lost.contains(&commit)
                && hub.has_commit(&commit)?
                && !hub.is_ancestor(&commit, head)?
            {
                lost.push(commit);
            }
        }
        for (number, commit) in lost.iter().enumerate() {
            let borrowed = RunId::new(&format!("{pin}-{number}"))
                .map_err(|_| GitError::BadRefName { shown: pin.to_owned(), why: "it is no id" })?;
            // The hub borrows it from the user's repository, where its branch goes.
            hub.pin_base(&borrowed, commit)?;
            hub.update_ref(&format!("{PINS}worktree.{pin}.{number}"), commit, Expected::Any)?;
        }
        Ok(())
    }
}

/// What would be lost.
fn holds(tree: &SessionTree, head: &CommitId) -> Result<Option<Holds>, SessionTreeError> {
    let files = tree.uncommitted()?;
    if !files.is_empty() {
        return Ok(Some(Holds::Uncommitted(files)));
    }
    Ok((tree.head()? != *head).then_some(Holds::Moved))
}

fn canonical(path: &Path) -> Result<PathBuf, SessionTreeError> {
    Ok(fs::canonicalize(path).map_err(GitError::io("open", path))?)
}

impl SessionTree {
    /// Writes the files of a commit into an empty tree, and their index. No filter runs: what one
    /// would have changed lies there as git stores it.
    fn write_all_files(&self, base: &CommitId, git_dir: &Path) -> Result<(), SessionTreeError> {
        let index = self.scratch_index(None)?;
        self.call(&index).args(["read-tree", "--reset", "-u", base.as_str()]).run()?;
        Ok(copy_index(index.path(), &git_dir.join("index"))?)
    }
}

impl Repository {
    /// The branches below a prefix that ends with `/`, whole.
    pub fn branches_below(&self, prefix: &str) -> Result<Vec<String>, GitError> {
        let below = format!("refs/heads/{prefix}");
        let listed = self.run(["for-each-ref", "--format=%(refname)", &below])?.stdout;
        let listed = String::from_utf8_lossy(&listed);
        let names = listed.lines().filter_map(|name| name.strip_prefix("refs/heads/"));
        Ok(names.map(str::to_owned).collect())
    }

    /// The checkout that linked worktrees are linked to; none if the repository is bare.
    pub fn main_work_tree(&self) -> Result<Option<PathBuf>, GitError> {
        use std::os::unix::ffi::OsStrExt as _;
        let listed = self.run(["worktree", "list", "--porcelain", "-z"])?.stdout;
        let mut lines = listed.split(|&byte| byte == 0).take_while(|line| !line.is_empty());
        let path = lines.next().and_then(|line| line.strip_prefix(b"worktree "));
        let is_bare = lines.any(|line| line == b"bare");
        let path = path.filter(|_| !is_bare);
        Ok(path.map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(path))))
    }
}
