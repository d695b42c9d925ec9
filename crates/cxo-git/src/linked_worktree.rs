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

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use cxo_protocol::{CommitId, RunId};

use crate::error::GitError;
use crate::fail_point;
use crate::files::{
    find_files, make_directory, read_line, read_plain, remove_tree, replace_file, sync_directory,
};
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
/// The longest log that is read.
const MAX_LOG_BYTES: u64 = 4 << 20;
/// Where a directory that is being deleted lies: our marker, and its name.
const PUT_AWAY: &str = "put-away";
/// What in the git directory of a worktree is nowhere else.
const KEPT: &[(&str, &str)] = &[
    ("modules", "submodules of its own"),
    ("sequencer", "a row of commits that is being applied"),
    ("BISECT_LOG", "a bisect"),
    ("BISECT_START", "a bisect"),
];
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
    /// Something else that only it has.
    Other(&'static str),
}

impl LinkedWorktree<'_> {
    /// Makes it with a new branch at `base`, or finds it. One that was half-made is made again; one that
    /// cannot be made leaves nothing. Something that is not ours is never touched.
    pub fn add(&self, base: &CommitId) -> Result<Origin, SessionTreeError> {
        let branch = branch_ref(&self.branch)?;
        let making = self.own.join(MAKING);
        let was_begun = read_line(&making).is_ok_and(|marker| marker == self.marker);
        if self.is_whole() && (!was_begun || self.has_index()) {
            remove_tree(&making)?;
            return Ok(Origin::Found);
        }
        make_directory(&self.own)?;
        if was_begun {
            self.clear_half_made(&branch, base)?;
        }
        if !is_free(&self.path, was_begun) {
            remove_tree(&making)?;
            return Err(SessionTreeError::Occupied { path: self.path.clone() });
        }
        if let Some(actual) = self.repository.branch_commit(&branch)? {
            remove_tree(&making)?;
            return Err(GitError::BranchExists { branch: self.branch.clone(), actual }.into());
        }
        replace_file(&making, self.marker.as_bytes())?;
        fail_point::reached("linked.begun");
        let made = self.make(&branch, base);
        if made.is_err() {
            // What failed is told; what cannot be cleared now is at the next try.
            self.clear_half_made(&branch, base)?;
        }
        remove_tree(&making)?;
        made.map(|()| Origin::Made)
    }

    fn make(&self, branch: &str, base: &CommitId) -> Result<(), SessionTreeError> {
        if let Some(parent) = self.path.parent() {
            make_directory(parent)?;
        }
        let null = self.repository.object_format().null();
        self.repository.run(["update-ref", branch, base.as_str(), null])?;
        fail_point::reached("linked.branch");
        // Nobody else's: it is made here, or was empty after a kill. Git takes an empty one.
        if !is_free(&self.path, true) {
            return Err(SessionTreeError::Occupied { path: self.path.clone() });
        }
        let add = self.repository.call(["worktree", "add", "-q", "--no-checkout", "--"]);
        add.args([self.path.as_os_str()]).args([&self.branch]).run()?;
        fail_point::reached("linked.added");
        let git_dir = linked_git_dir(self.repository, &canonical(&self.path)?)?;
        // Before any file: whatever lies there from here on is known to be ours.
        replace_file(&git_dir.join(MARKER), self.marker.as_bytes())?;
        fail_point::reached("linked.marked");
        self.tree()?.write_all_files(base, &git_dir)?;
        sync_directory(&git_dir)?;
        fail_point::reached("linked.files");
        Ok(())
    }

    /// Gives it back: what its HEAD is and was at is pinned in the hub as the works of `pin`, then
    /// its directory, its git directory and its branch go. Asked again after a kill it goes on.
    pub fn reclaim(
        &self,
        hub: &Hub,
        head: &CommitId,
        pin: &str,
    ) -> Result<Reclaim, SessionTreeError> {
        let mut gone = self.put_away();
        let git_dir = self.marked_git_dir();
        if fs::symlink_metadata(&self.path).is_ok() {
            if !self.is_whole() {
                return Err(SessionTreeError::NotOurs { path: self.path.clone() });
            }
            if let Some(holds) = self.holds(&self.tree()?, head)? {
                return Ok(Reclaim::Kept(holds));
            }
            if let Some(holds) = self.pin_history(hub, head, pin)? {
                return Ok(Reclaim::Kept(holds));
            }
            fail_point::reached("reclaim.pinned");
            let place = self.new_place()?;
            fs::rename(&self.path, &place).map_err(GitError::io("put away", &self.path))?;
            gone = Some(place);
        }
        fail_point::reached("reclaim.away");
        if let Some(git_dir) = git_dir {
            if let Some(gone) = gone.as_ref().filter(|gone| gone.is_dir()) {
                // Somebody may have written there in the last moment.
                let tree = self.tree_at(git_dir.clone(), gone.clone())?;
                if let Some(holds) = self.holds(&tree, head)? {
                    fs::rename(gone, &self.path).map_err(GitError::io("put back", &self.path))?;
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
        if let Some(gone) = gone {
            remove_tree(&gone)?;
            remove_tree(&self.own.join(PUT_AWAY))?;
        }
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
        read_line(&git_dir.join(MARKER)).is_ok_and(|marker| marker == self.marker)
    }

    /// The same, at the place to which it was put away.
    fn tree_at(&self, git_dir: PathBuf, root: PathBuf) -> Result<SessionTree, SessionTreeError> {
        SessionTree::of(self.repository.seen_from(git_dir, root), &self.own)
    }

    /// Where it lies before it is deleted, if it was put away and that was cut off.
    fn put_away(&self) -> Option<PathBuf> {
        let said = read_line(&self.own.join(PUT_AWAY)).ok()?;
        let name = said.strip_prefix(&self.marker)?.strip_prefix('\n')?;
        Some(self.path.with_file_name(name))
    }

    /// A name that nothing has, written down before it is used: a rename is one step, and nobody looks there.
    fn new_place(&self) -> Result<PathBuf, SessionTreeError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let name = format!(".gone-{name}-{now:x}-{}", std::process::id());
        let place = self.path.with_file_name(&name);
        if fs::symlink_metadata(&place).is_ok() {
            return Err(SessionTreeError::Occupied { path: place });
        }
        replace_file(&self.own.join(PUT_AWAY), format!("{}\n{name}", self.marker).as_bytes())?;
        Ok(place)
    }

    /// Every git directory of a worktree of the repository.
    fn git_dirs(&self) -> impl Iterator<Item = PathBuf> {
        let listed = fs::read_dir(self.repository.common_dir().join("worktrees"));
        listed.into_iter().flatten().flatten().map(|entry| entry.path())
    }

    fn marked_git_dir(&self) -> Option<PathBuf> {
        self.git_dirs().find(|git_dir| self.bears_marker(git_dir))
    }

    /// Whether all its files were written once.
    fn has_index(&self) -> bool {
        self.marked_git_dir().is_some_and(|git_dir| git_dir.join("index").exists())
    }

    /// Takes away what an adding that was cut off left, and only what is proven to be that: files below
    /// our marker that nobody was given, or a worktree without any file.
    fn clear_half_made(&self, branch: &str, base: &CommitId) -> Result<(), SessionTreeError> {
        let link = self.path.join(".git");
        let leads_here = |git_dir: &PathBuf| {
            read_line(&git_dir.join("gitdir")).is_ok_and(|to| Path::new(to.trim_end()) == link)
        };
        for git_dir in self.git_dirs().filter(leads_here) {
            if self.is_whole() && self.bears_marker(&git_dir) {
                remove_tree(&self.path)?;
            } else if git_dir.join("index").exists() || !has_only_link(&self.path) {
                continue;
            } else if fs::symlink_metadata(&link).is_ok() {
                fs::remove_file(&link).map_err(GitError::io("remove", &link))?;
                fs::remove_dir(&self.path).map_err(GitError::io("remove", &self.path))?;
            }
            remove_tree(&git_dir)?;
        }
        if self.repository.branch_commit(branch)?.as_ref() == Some(base)
            && !self.repository.is_checked_out(branch)?
        {
            self.repository.run(["update-ref", "-d", branch, base.as_str()])?;
        }
        Ok(())
    }

    /// What would be lost.
    fn holds(
        &self,
        tree: &SessionTree,
        head: &CommitId,
    ) -> Result<Option<Holds>, SessionTreeError> {
        let files = tree.uncommitted()?;
        if !files.is_empty() {
            return Ok(Some(Holds::Uncommitted(files)));
        }
        if tree.head()? != *head {
            return Ok(Some(Holds::Moved));
        }
        let submodules = tree.checked_out_submodules()?;
        if !submodules.is_empty() {
            return Ok(Some(Holds::Other("submodules that are checked out")));
        }
        let Some(git_dir) = self.marked_git_dir() else { return Ok(None) };
        let kept = KEPT.iter().find(|(name, _)| has_entries(&git_dir.join(name)));
        let private = !find_files(&git_dir.join("refs"), |_| true).is_empty();
        let what = kept.map(|(_, what)| *what);
        Ok(what.or(private.then_some("refs of its own")).map(Holds::Other))
    }

    /// Pins where it is, and what its HEAD was at and is not part of that. If that is more than can be
    /// pinned, it stays.
    fn pin_history(
        &self,
        hub: &Hub,
        head: &CommitId,
        pin: &str,
    ) -> Result<Option<Holds>, SessionTreeError> {
        let Some(logged) = self.logged()? else {
            return Ok(Some(Holds::Other("a log of its HEAD that is no plain file, or too long")));
        };
        let mut lost = vec![head.clone()];
        if !logged.is_empty() {
            let without = format!("^{head}");
            let mut asked: Vec<&str> = logged.iter().map(CommitId::as_str).collect();
            asked.extend([without.as_str(), ""]);
            let asked = asked.join("\n");
            let args = ["rev-list", "--ignore-missing", "--stdin"];
            let found = hub.call(&args).stdin(asked.as_bytes()).run()?.stdout;
            let found = String::from_utf8_lossy(&found);
            let apart: BTreeSet<&str> = found.lines().collect();
            lost.extend(logged.into_iter().filter(|commit| apart.contains(commit.as_str())));
        }
        if lost.len() > MAX_LOGGED {
            return Ok(Some(Holds::Other("more commits in the log of its HEAD than are pinned")));
        }
        for (number, commit) in lost.iter().enumerate() {
            let borrowed = RunId::new(&format!("{pin}-{number}"))
                .map_err(|_| GitError::BadRefName { shown: pin.to_owned(), why: "it is no id" })?;
            // The hub borrows it from the user's repository, where its branch goes.
            hub.pin_base(&borrowed, commit)?;
            hub.update_ref(&format!("{PINS}worktree.{pin}.{number}"), commit, Expected::Any)?;
        }
        Ok(None)
    }

    /// The commits that its HEAD was at, the last first; none if that cannot be known.
    fn logged(&self) -> Result<Option<Vec<CommitId>>, SessionTreeError> {
        let Some(git_dir) = self.marked_git_dir() else { return Ok(Some(Vec::new())) };
        let path = git_dir.join("logs/HEAD");
        let bytes = match read_plain(&path, MAX_LOG_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(None),
            Err(error) => return Err(GitError::io("read", &path)(error).into()),
        };
        let (mut seen, mut logged) = (BTreeSet::new(), Vec::new());
        let null = self.repository.object_format().null();
        for line in bytes.split(|&byte| byte == b'\n').rev() {
            let ids = line.split(|&byte| byte == b' ').take(2).filter(|id| *id != null.as_bytes());
            for commit in ids.filter_map(|id| commit_id(id).ok()) {
                if seen.insert(commit.clone()) {
                    logged.push(commit);
                }
            }
        }
        Ok(Some(logged))
    }
}

/// Whether a worktree can be made there: the directory is made, and if an adding of ours was cut off it
/// may be there without an entry.
fn is_free(path: &Path, was_begun: bool) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => was_begun && entries.next().is_none(),
        Err(_) => fs::symlink_metadata(path).is_err(),
    }
}

/// Whether a directory has nothing but the link to its git directory, or is not there.
fn has_only_link(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == ".git"),
        Err(_) => fs::symlink_metadata(path).is_err(),
    }
}

/// Whether a file is there, or a directory that is not empty.
fn has_entries(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => fs::symlink_metadata(path).is_ok(),
    }
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
        // It is there when all of it is: it says that every file was written.
        let (beside, place) = (git_dir.join("index.cxo"), git_dir.join("index"));
        copy_index(index.path(), &beside)?;
        Ok(fs::rename(&beside, &place).map_err(GitError::io("rename to", &place))?)
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
