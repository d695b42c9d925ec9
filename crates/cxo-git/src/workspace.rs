//! Workspaces: the directories in which attempts and checks work. Made, moved to another commit
//! by changed files only, and given back.
//!
//! Files are written and compared with the hub's configuration and an index of ours that lies in
//! the hub, so nothing that an agent writes into its own `.git` counts. That `.git` is made for
//! the agent by hand and never used by us. This module knows no attempt; a marker is a string.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cxo_protocol::CommitId;
use serde::{Deserialize, Serialize};

use crate::error::GitError;
use crate::files::{make_directory, remove_tree, replace_file, sync_directory};
use crate::hub::Hub;
use crate::names::branch_ref;
use crate::objects::Author;
use crate::workspace_git::{GitDirSpec, git_dirs, make_git_dir, trash_git_dir};

/// What kind of repository an agent finds in its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkspaceKind {
    /// A clone of its own that borrows the hub's objects: own refs, own stash, own locks.
    Clone,
    /// A worktree of a repository that all workspaces beside it share and that borrows the hub's
    /// objects. The hub itself stays out of the agents' reach.
    Worktree,
    /// An empty directory without git.
    None,
}

/// A workspace to be made.
#[derive(Debug, Clone)]
pub struct WorkspaceSpec {
    /// Where; its parent holds workspaces and what belongs to them, and nothing else.
    pub path: PathBuf,
    /// The commit whose files it holds.
    pub base: CommitId,
    /// What the agent finds in it.
    pub kind: WorkspaceKind,
    /// Whose it is, for instance the attempt's id; written beside the agent's git directory.
    pub marker: String,
    /// The branch that is checked out; HEAD is detached without one.
    pub branch: Option<String>,
    /// Who commits in it unless the agent says otherwise.
    pub author: Author,
}

/// A workspace that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// Where it is, with no symlink in it.
    pub path: PathBuf,
    /// The commit that it was made from or last moved to.
    pub base: CommitId,
    /// Whether it was made by this call.
    pub origin: Origin,
}

/// How a workspace came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made now.
    Made,
    /// Found from an earlier call with the same marker.
    Found,
}

/// What a sandbox has to let an agent reach besides its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentPaths {
    /// The workspace, and the repository that it shares with others if it is a worktree.
    pub writable: Vec<PathBuf>,
    /// Where objects are borrowed from: the hub and the user's repository.
    pub readable: Vec<PathBuf>,
}

/// What the hub remembers of a workspace: what it is must not be asked of the workspace itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) path: PathBuf,
    /// The directory's inode: another directory of the same name is not the workspace.
    pub(crate) inode: u64,
    pub(crate) kind: WorkspaceKind,
    pub(crate) marker: String,
    pub(crate) base: CommitId,
    pub(crate) branch: Option<String>,
    pub(crate) author: (String, String),
}

impl Record {
    fn git_dir_spec(&self) -> GitDirSpec<'_> {
        GitDirSpec {
            workspace: &self.path,
            kind: self.kind,
            head: &self.base,
            branch: self.branch.as_deref(),
            marker: &self.marker,
            author: (&self.author.0, &self.author.1),
        }
    }
}

impl Hub {
    /// Makes a workspace, or finds the one that an earlier call with the same marker made.
    /// Half-made ones are made again. Something that is not ours is never touched.
    pub fn create_workspace(&self, spec: &WorkspaceSpec) -> Result<Workspace, GitError> {
        if let Some(branch) = &spec.branch {
            branch_ref(branch)?;
        }
        let path = placed(&spec.path)?;
        let (parent, name) = split(&path)?;
        if fs::symlink_metadata(&path).is_ok() {
            return self.find_workspace(spec, &path);
        }
        let half_made = parent.join(format!(".new-{name}"));
        remove_tree(&half_made)?;
        make_directory(&half_made)?;
        let inode = fs::metadata(&half_made).map_err(GitError::io("read", &half_made))?.ino();
        let record = Record {
            path: path.clone(),
            inode,
            kind: spec.kind,
            marker: spec.marker.clone(),
            base: spec.base.clone(),
            branch: spec.branch.clone(),
            author: (spec.author.name.clone(), spec.author.email.clone()),
        };
        make_directory(&self.record_dir(&path))?;
        match spec.kind {
            WorkspaceKind::Clone | WorkspaceKind::Worktree => {
                // Without an old index every file counts as new.
                remove_tree(&self.index_of(&path))?;
                self.read_tree(&half_made, &path, spec.base.as_str())?;
                make_git_dir(self, &record.git_dir_spec(), &half_made)?;
            }
            WorkspaceKind::None => {}
        }
        self.remember(&record)?;
        fs::rename(&half_made, &path).map_err(GitError::io("rename to", &path))?;
        sync_directory(&parent)?;
        Ok(Workspace { path, base: spec.base.clone(), origin: Origin::Made })
    }

    /// Moves a workspace to the files of another commit. Only files that differ are written,
    /// ignored files (build outputs) stay, other leftovers go, and the agent's `.git` is made
    /// anew. What is to be kept of it has been pinned before.
    pub fn reset_workspace(&self, path: &Path, to: &CommitId) -> Result<Workspace, GitError> {
        let mut record = self.record_with_git(path)?;
        let root = record.path.clone();
        if self.read_tree(&root, &root, to.as_str()).is_err() {
            // The index may have been lost with the power; without it every file is written.
            remove_tree(&self.index_of(&root))?;
            self.read_tree(&root, &root, to.as_str())?;
        }
        let index = self.index_of(&root);
        self.call_on(&root, &index).args(["clean", "-ffdq"]).run()?;
        record.base = to.clone();
        trash_git_dir(&record.path, record.kind)?;
        make_git_dir(self, &record.git_dir_spec(), &root)?;
        self.remember(&record)?;
        Ok(Workspace { path: root, base: to.clone(), origin: Origin::Found })
    }

    /// A workspace for checks with the files of a commit: the one at `path` moved there with its
    /// ignored files, or a new one where there is none or it cannot be moved.
    pub fn check_workspace(&self, path: &Path, commit: &CommitId) -> Result<Workspace, GitError> {
        let error = match self.reset_workspace(path, commit) {
            Ok(workspace) => return Ok(workspace),
            Err(error) => error,
        };
        let none_there =
            matches!(error, GitError::WorkspaceUnknown { .. } | GitError::WorkspaceGone { .. });
        // A check may leave files that cannot be overwritten or removed in place.
        let stuck = matches!(error, GitError::Failed { .. }) && self.has_commit(commit)?;
        if stuck {
            self.remove_workspace(path)?;
        } else if !none_there {
            return Err(error);
        }
        self.create_workspace(&WorkspaceSpec {
            path: path.to_owned(),
            base: commit.clone(),
            kind: WorkspaceKind::Clone,
            marker: "check".to_owned(),
            branch: None,
            author: Author { name: "checks".to_owned(), email: "checks@localhost".to_owned() },
        })
    }

    /// What the agent of a workspace must be able to reach.
    pub fn agent_paths(&self, path: &Path) -> Result<AgentPaths, GitError> {
        let record = self.record(path)?;
        let mut writable = vec![record.path.clone()];
        let readable = match record.kind {
            WorkspaceKind::Clone | WorkspaceKind::Worktree => self.object_dirs(),
            WorkspaceKind::None => Vec::new(),
        };
        if record.kind == WorkspaceKind::Worktree {
            writable.extend(git_dirs(&record.path, record.kind)?.map(|(_, shared)| shared));
        }
        Ok(AgentPaths { writable, readable })
    }

    /// Takes a workspace away: renamed to the trash beside it at once, deleted by
    /// [`Hub::empty_trash`]. It is no error if it is gone already.
    pub fn remove_workspace(&self, path: &Path) -> Result<(), GitError> {
        let record = match self.record(path) {
            Ok(record) => record,
            Err(GitError::WorkspaceGone { path }) => return remove_tree(&self.record_dir(&path)),
            Err(error) => return Err(error),
        };
        if record.kind == WorkspaceKind::Worktree {
            trash_git_dir(&record.path, record.kind)?;
        }
        move_to_trash(&record.path, &record.path)?;
        remove_tree(&self.record_dir(&record.path))
    }

    /// Deletes what [`Hub::remove_workspace`] put away in a directory of workspaces.
    pub fn empty_trash(&self, workspaces: &Path) -> Result<(), GitError> {
        remove_tree(&workspaces.join(TRASH))
    }

    /// The record of a workspace that is really there.
    pub(crate) fn record(&self, path: &Path) -> Result<Record, GitError> {
        let gone = |path: &Path| GitError::WorkspaceGone { path: path.to_owned() };
        let path =
            if path.parent().is_some_and(Path::is_dir) { placed(path)? } else { path.to_owned() };
        let file = self.record_dir(&path).join("record.json");
        let Ok(bytes) = fs::read(&file) else {
            return Err(GitError::WorkspaceUnknown { path });
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|error| GitError::Io {
            action: "understand",
            path: file.clone(),
            source: error.into(),
        })?;
        if record.path != path {
            return Err(GitError::WorkspaceUnknown { path });
        }
        let Ok(meta) = fs::symlink_metadata(&path) else { return Err(gone(&path)) };
        if !meta.is_dir() || meta.ino() != record.inode {
            return Err(GitError::WorkspaceReplaced { path });
        }
        Ok(record)
    }

    /// The same, and it has files of a commit.
    pub(crate) fn record_with_git(&self, path: &Path) -> Result<Record, GitError> {
        let record = self.record(path)?;
        match record.kind {
            WorkspaceKind::Clone | WorkspaceKind::Worktree => Ok(record),
            WorkspaceKind::None => Err(GitError::WorkspaceWithoutGit { path: record.path }),
        }
    }

    /// Our index of a workspace.
    pub(crate) fn index_of(&self, path: &Path) -> PathBuf {
        self.record_dir(path).join("index")
    }

    fn find_workspace(&self, spec: &WorkspaceSpec, path: &Path) -> Result<Workspace, GitError> {
        let occupied = || GitError::WorkspaceOccupied { path: path.to_owned() };
        let record = self.record(path).map_err(|_| occupied())?;
        if record.marker != spec.marker || record.kind != spec.kind {
            return Err(occupied());
        }
        Ok(Workspace { path: path.to_owned(), base: record.base, origin: Origin::Found })
    }

    /// Writes the files of a tree into `root`, with the index of the workspace `owner`.
    fn read_tree(&self, root: &Path, owner: &Path, tree: &str) -> Result<(), GitError> {
        let index = self.index_of(owner);
        self.call_on(root, &index).args(["read-tree", "--reset", "-u", tree]).run()?;
        Ok(())
    }

    fn remember(&self, record: &Record) -> Result<(), GitError> {
        let file = self.record_dir(&record.path).join("record.json");
        let bytes = serde_json::to_vec(record).map_err(|error| GitError::Io {
            action: "write",
            path: file.clone(),
            source: error.into(),
        })?;
        replace_file(&file, &bytes)
    }

    fn record_dir(&self, path: &Path) -> PathBuf {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let short: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
        self.records_dir().join(format!("{short}-{:016x}", digest(path)))
    }
}

/// Where removed workspaces wait to be deleted, beside the others: a rename is instant.
const TRASH: &str = ".trash";

/// Renames `what` into the trash beside the workspace `owner`.
pub(crate) fn move_to_trash(owner: &Path, what: &Path) -> Result<(), GitError> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (parent, name) = split(owner)?;
    let trash = parent.join(TRASH);
    make_directory(&trash)?;
    let to = loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let to = trash.join(format!("{name}-{}-{number}", std::process::id()));
        if fs::symlink_metadata(&to).is_err() {
            break to;
        }
    };
    fs::rename(what, &to).map_err(GitError::io("move to the trash", what))
}

/// The path with its parent made and free of symlinks; the last part is left as it is.
fn placed(path: &Path) -> Result<PathBuf, GitError> {
    let (parent, name) = split(path)?;
    make_directory(&parent)?;
    let parent = fs::canonicalize(&parent).map_err(GitError::io("open", &parent))?;
    Ok(parent.join(name))
}

/// Parent and name; names that begin with a dot are kept for us.
pub(crate) fn split(path: &Path) -> Result<(PathBuf, String), GitError> {
    let parts = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
    match parts {
        Some((parent, name)) if path.is_absolute() && !name.starts_with('.') => {
            Ok((parent.to_owned(), name.to_owned()))
        }
        Some(_) | None => Err(GitError::WorkspaceUnknown { path: path.to_owned() }),
    }
}

/// FNV-1a: names a record after a path, the same in every build; the record itself holds the
/// path, so that a collision shows.
fn digest(path: &Path) -> u64 {
    path.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
