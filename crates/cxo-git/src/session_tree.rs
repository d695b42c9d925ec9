//! Version control of the tree that a session works in: what differs, a commit, a push. The tree is
//! the user's own checkout, which the user opened for it, or a linked worktree of the repository.
//!
//! ```text
//! let tree = SessionTree::open(&repository, root, own_dir)?;
//! tree.diff(&DiffSpec::default())?;     // staged, unstaged, untracked
//! tree.commit(&SessionCommit { … })?;   // by our own index; what else is staged stays staged
//! tree.push("origin", "topic")?;        // configured remotes only, never forced
//! tree.base_file(&commit, &path)?;      // what a patch is applied to
//! tree.plan_merge(&files, &spec)?;      // computed; `merge` does it, whole or not at all
//! ```
//!
//! Agents can write in the tree and perhaps into its git directory. So every process that reads
//! files works with a git directory of ours, with nothing but objects and ignore rules borrowed:
//! no configuration, hook, driver or filter of the repository counts. Conversions that git does by itself (line
//! endings) do. The module knows no sessions, locks or capabilities: the caller checked them.

mod commit;
mod diff;
mod error;
mod hidden;
mod merge;
mod push;
mod resume;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cxo_protocol::{CommitId, TreePath};

use crate::error::GitError;
use crate::files::{make_directory, read_line, read_plain, remove_tree, replace_file};
use crate::hub::format_config;
use crate::names::check_revision;
use crate::objects::MAX_BLOB_BYTES;
use crate::patch::BaseFile;
use crate::process::{Call, Place};
use crate::repository::Repository;
use crate::tree_files::Mode;

pub use commit::{CommitScope, SessionCommit};
pub use diff::{DiffSpec, TreeDiff};
pub use error::SessionTreeError;
pub use merge::{MergePlan, MergeSpec, TreeMerge};
pub use resume::Resumed;

/// The settings of the repository that say how files lie in the tree, and what they may be. None of
/// them names a program.
const CONVERSIONS: &[(&str, &[&str])] = &[
    ("core.autocrlf", &["true", "false", "input"]),
    ("core.eol", &["lf", "crlf", "native"]),
    ("core.filemode", &["true", "false"]),
    ("core.ignorecase", &["true", "false"]),
];

/// The index of a tree with millions of files.
const MAX_INDEX_BYTES: u64 = 1 << 30;

/// The tree that a session works in.
#[derive(Debug)]
pub struct SessionTree {
    repository: Repository,
    /// The git directory of ours.
    own: PathBuf,
    conversions: Vec<(&'static str, String)>,
}

/// A copy of the index that is gone when it is dropped.
pub(crate) struct ScratchIndex(PathBuf);

impl SessionTree {
    /// Opens the checkout of `repository`, or a worktree that is linked to it. `own` is a directory
    /// outside of the tree that only we write, for this tree alone.
    pub fn open(
        repository: &Repository,
        root: &Path,
        own: &Path,
    ) -> Result<Self, SessionTreeError> {
        let root = fs::canonicalize(root).map_err(GitError::io("open", root))?;
        let repository = if root == repository.work_tree() {
            repository.clone()
        } else {
            let git_dir = linked_git_dir(repository, &root)?;
            repository.seen_from(git_dir, root)
        };
        Self::of(repository, own)
    }

    /// The tree as a repository is seen from it.
    pub(crate) fn of(repository: Repository, own: &Path) -> Result<Self, SessionTreeError> {
        let mut conversions = Vec::new();
        for (key, allowed) in CONVERSIONS {
            if let Some(value) =
                repository.setting(key)?.filter(|value| allowed.contains(&value.as_str()))
            {
                conversions.push((*key, value));
            }
        }
        let tree = Self { repository, own: own.to_owned(), conversions };
        tree.lay_out()?;
        Ok(tree)
    }

    /// The commit that a revision names.
    pub fn resolve(&self, revision: &str) -> Result<CommitId, SessionTreeError> {
        check_revision(revision)?;
        Ok(self.repository.resolve(revision)?)
    }

    /// A regular file at a commit; none if there is none. A symlink or submodule is refused.
    pub fn base_file(
        &self,
        commit: &CommitId,
        path: &TreePath,
    ) -> Result<Option<BaseFile>, SessionTreeError> {
        let args = ["ls-tree", "-z", "-l", "--full-tree", commit.as_str(), "--", path.as_str()];
        let listed = self.bare_call().args(args).run()?.stdout;
        let entry = String::from_utf8_lossy(&listed);
        let words: Vec<&str> =
            entry.split('\t').next().unwrap_or_default().split_whitespace().collect();
        let [mode, _, object, size] = words[..] else { return Ok(None) };
        let mode = match mode {
            "100644" => Mode::Plain,
            "100755" => Mode::Executable,
            _ => return Err(SessionTreeError::NoRegularFile { path: path.clone() }),
        };
        if size.parse::<usize>().is_ok_and(|size| size > MAX_BLOB_BYTES) {
            let command = format!("git cat-file {object}");
            return Err(GitError::OutputTooLong { command, limit: MAX_BLOB_BYTES }.into());
        }
        let bytes = self.bare_call().args(["cat-file", "blob", object]).run()?.stdout;
        Ok(Some(BaseFile { bytes, mode }))
    }

    /// Removes what processes left that died. What this one has is in use: somebody may compare the
    /// tree while another commits.
    fn clear_scratch(&self) -> Result<(), GitError> {
        let own = format!("index-{}-", std::process::id());
        let listed = fs::read_dir(self.own.join("scratch")).into_iter().flatten().flatten();
        let mut left =
            listed.filter(|entry| !entry.file_name().to_string_lossy().starts_with(&own));
        left.try_for_each(|entry| remove_tree(&entry.path()))
    }

    /// Makes our git directory, all of it every time.
    fn lay_out(&self) -> Result<(), GitError> {
        self.clear_scratch()?;
        for part in ["objects", "refs", "info", "scratch"] {
            make_directory(&self.own.join(part))?;
        }
        let config = format!(
            "{}\tbare = false\n\tlogAllRefUpdates = false\n",
            format_config(self.repository.object_format())
        );
        replace_file(&self.own.join("config"), config.as_bytes())?;
        replace_file(&self.own.join("HEAD"), b"ref: refs/heads/none\n")?;
        let common = self.repository.common_dir();
        for name in ["info/exclude", "shallow"] {
            match fs::read(common.join(name)) {
                Ok(bytes) => replace_file(&self.own.join(name), &bytes)?,
                Err(_) => remove_tree(&self.own.join(name))?,
            }
        }
        Ok(())
    }

    fn root(&self) -> &Path {
        self.repository.work_tree()
    }

    /// A call on the tree's files, with our configuration and an index of ours. Objects that it
    /// makes are ours.
    pub(crate) fn call<'a>(&'a self, index: &'a ScratchIndex) -> Call<'a> {
        let place =
            Place::WorkTree { git_dir: &self.own, root: self.root(), index: Some(&index.0) };
        let call = self.repository.program().call(place).borrow_objects(&self.objects());
        self.conversions.iter().fold(call, |call, (key, value)| call.config(key, value))
    }

    /// The same, and objects that it makes are the repository's.
    fn writing_call<'a>(&'a self, index: &'a ScratchIndex) -> Call<'a> {
        self.call(index).objects_in(&self.objects())
    }

    /// A call on objects alone.
    fn bare_call(&self) -> Call<'_> {
        self.repository.program().call(Place::GitDir(&self.own)).borrow_objects(&self.objects())
    }

    fn objects(&self) -> PathBuf {
        self.repository.common_dir().join("objects")
    }

    fn index_path(&self) -> PathBuf {
        self.repository.git_dir().join("index")
    }

    /// An index without entries, or with those of these bytes.
    pub(crate) fn scratch_index(&self, bytes: Option<&[u8]>) -> Result<ScratchIndex, GitError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.own.join("scratch").join(format!("index-{}-{number}", std::process::id()));
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).map_err(GitError::io("write", &path))?;
        }
        Ok(ScratchIndex(path))
    }

    /// The bytes of the tree's index; none if it has none yet.
    fn index_bytes(&self) -> Result<Option<Vec<u8>>, GitError> {
        let path = self.index_path();
        match read_plain(&path, MAX_INDEX_BYTES) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(GitError::io("read", &path)(error)),
        }
    }
}

impl ScratchIndex {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchIndex {
    fn drop(&mut self) {
        // What is left is cleared at the next opening.
        drop(fs::remove_file(&self.0));
    }
}

/// The git directory of a linked worktree, as the repository knows it. What the worktree's own
/// `.git` says has to agree: an agent may have pointed it elsewhere.
pub(crate) fn linked_git_dir(
    repository: &Repository,
    root: &Path,
) -> Result<PathBuf, SessionTreeError> {
    let not_ours = || SessionTreeError::NotOfRepository { path: root.to_owned() };
    let link = root.join(".git");
    let listed = fs::read_dir(repository.common_dir().join("worktrees")).map_err(|_| not_ours())?;
    // It may be written from the git directory on.
    let of_root = |git_dir: &PathBuf| {
        let said = read_line(&git_dir.join("gitdir")).unwrap_or_default();
        let tree = git_dir.join(said.trim_end());
        tree.parent().and_then(|tree| fs::canonicalize(tree).ok()).is_some_and(|tree| tree == root)
    };
    let git_dir = listed.flatten().map(|entry| entry.path()).find(of_root).ok_or_else(not_ours)?;
    let said = fs::symlink_metadata(&link)
        .is_ok_and(|meta| meta.is_file())
        .then(|| read_line(&link).unwrap_or_default());
    let said = said.as_deref().and_then(|text| text.trim_end().strip_prefix("gitdir: "));
    let same = |one: &Path, other: &Path| matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other);
    let shared = read_line(&git_dir.join("commondir")).unwrap_or_default();
    let leads_home = same(&git_dir.join(shared.trim_end()), repository.common_dir());
    if said.is_some_and(|said| same(&root.join(said), &git_dir)) && leads_home {
        Ok(git_dir)
    } else {
        Err(SessionTreeError::Swapped { path: root.to_owned() })
    }
}
