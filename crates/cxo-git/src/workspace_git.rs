//! The git directory that an agent finds in its workspace, written by hand: no git process has
//! to run to make it, and none of ours ever reads its configuration.
//!
//! It knows the layout of a git directory and nothing of attempts.

use std::fs;
use std::path::{Path, PathBuf};

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::files::{make_directory, remove_tree, write_file};
use crate::hub::{Hub, format_config};
use crate::process::quoted_path;
use crate::workspace::{WorkspaceKind, move_to_trash, split};

/// The file in an agent's git directory that says whose workspace it is.
const MARKER: &str = "cxo-workspace";
/// The repository that the worktrees in one directory share.
const SHARED: &str = ".worktrees.git";

/// A git directory to be made.
pub(crate) struct GitDirSpec<'a> {
    /// Where the workspace will be when it is ready.
    pub(crate) workspace: &'a Path,
    pub(crate) kind: WorkspaceKind,
    pub(crate) head: &'a CommitId,
    pub(crate) branch: Option<&'a str>,
    pub(crate) marker: &'a str,
    pub(crate) author: (&'a str, &'a str),
}

/// Makes the git directory of a workspace whose files are in `root`.
pub(crate) fn make_git_dir(hub: &Hub, spec: &GitDirSpec<'_>, root: &Path) -> Result<(), GitError> {
    match spec.kind {
        WorkspaceKind::Clone => make_clone(hub, spec, root),
        WorkspaceKind::Worktree => make_worktree(hub, spec, root),
        WorkspaceKind::None => Ok(()),
    }
}

/// The directory with HEAD and reflog of a workspace, and the one with its objects and refs.
pub(crate) fn git_dirs(
    workspace: &Path,
    kind: WorkspaceKind,
) -> Result<Option<(PathBuf, PathBuf)>, GitError> {
    let (parent, name) = split(workspace)?;
    Ok(match kind {
        WorkspaceKind::Clone => {
            let git_dir = workspace.join(".git");
            Some((git_dir.clone(), git_dir))
        }
        WorkspaceKind::Worktree => {
            let shared = parent.join(SHARED);
            Some((shared.join("worktrees").join(name), shared))
        }
        WorkspaceKind::None => None,
    })
}

/// Puts away what the agent made of its git directory, whatever that is now: a rename follows
/// no symlink.
pub(crate) fn trash_git_dir(workspace: &Path, kind: WorkspaceKind) -> Result<(), GitError> {
    let Some((git_dir, _)) = git_dirs(workspace, kind)? else { return Ok(()) };
    for path in [git_dir, workspace.join(".git")] {
        if fs::symlink_metadata(&path).is_ok() {
            move_to_trash(workspace, &path)?;
        }
    }
    Ok(())
}

fn make_clone(hub: &Hub, spec: &GitDirSpec<'_>, root: &Path) -> Result<(), GitError> {
    let (parent, name) = split(spec.workspace)?;
    let building = parent.join(format!(".git-{name}"));
    remove_tree(&building)?;
    lay_out_repository(hub, spec, &building)?;
    if let Some(branch) = spec.branch {
        let line = format!(
            "# pack-refs with: peeled fully-peeled sorted \n{} refs/heads/{branch}\n",
            spec.head
        );
        write_file(&building.join("packed-refs"), line.as_bytes())?;
    }
    write_head(hub, spec, &building)?;
    let place = root.join(".git");
    fs::rename(&building, &place).map_err(GitError::io("rename to", &place))
}

fn make_worktree(hub: &Hub, spec: &GitDirSpec<'_>, root: &Path) -> Result<(), GitError> {
    let (parent, name) = split(spec.workspace)?;
    let shared = parent.join(SHARED);
    if fs::symlink_metadata(&shared).is_err() {
        let building = parent.join(format!(".worktrees-{name}"));
        remove_tree(&building)?;
        lay_out_repository(hub, spec, &building)?;
        write_file(&building.join("HEAD"), b"ref: refs/heads/none\n")?;
        // Another workspace may have been first; then this one is not needed.
        if fs::rename(&building, &shared).is_err() {
            remove_tree(&building)?;
        }
    }
    let own = shared.join("worktrees").join(&name);
    remove_tree(&own)?;
    make_directory(&own)?;
    if let Some(branch) = spec.branch {
        let file = shared.join("refs/heads").join(branch);
        make_directory(file.parent().unwrap_or(&shared))?;
        write_file(&file, format!("{}\n", spec.head).as_bytes())?;
    }
    write_file(&own.join("commondir"), b"../..\n")?;
    let link = |path: &Path, before: &str| {
        let mut line = before.as_bytes().to_vec();
        line.extend(path.as_os_str().as_encoded_bytes());
        line.push(b'\n');
        line
    };
    write_file(&own.join("gitdir"), &link(&spec.workspace.join(".git"), ""))?;
    write_head(hub, spec, &own)?;
    write_file(&root.join(".git"), &link(&own, "gitdir: "))
}

fn lay_out_repository(hub: &Hub, spec: &GitDirSpec<'_>, dir: &Path) -> Result<(), GitError> {
    for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        make_directory(&dir.join(part))?;
    }
    let mut alternates = quoted_path(&hub.dir().join("objects")).into_encoded_bytes();
    alternates.push(b'\n');
    write_file(&dir.join("objects/info/alternates"), &alternates)?;
    write_file(&dir.join("info/exclude"), &hub.user_excludes())?;
    hub.copy_shallow_edge(dir)?;
    let config = format!(
        "{}\tbare = false\n\tlogAllRefUpdates = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[user]\n\tname = {}\n\temail = {}\n",
        format_config(hub.format()),
        config_value(spec.author.0),
        config_value(spec.author.1),
    );
    // A repository with worktrees is nobody's working tree itself.
    let config = if spec.kind == WorkspaceKind::Worktree {
        config.replace("bare = false", "bare = true")
    } else {
        config
    };
    write_file(&dir.join("config"), config.as_bytes())
}

/// HEAD, the index and the marker.
fn write_head(hub: &Hub, spec: &GitDirSpec<'_>, git_dir: &Path) -> Result<(), GitError> {
    let head = match spec.branch {
        Some(branch) => format!("ref: refs/heads/{branch}\n"),
        None => format!("{}\n", spec.head),
    };
    write_file(&git_dir.join("HEAD"), head.as_bytes())?;
    write_file(&git_dir.join(MARKER), format!("{}\n", spec.marker).as_bytes())?;
    copy_index(&hub.index_of(spec.workspace), &git_dir.join("index"))
}

/// Copies an index with its time of change: git compares that with the files' own times to know
/// which of them may have changed right after it was written.
pub(crate) fn copy_index(from: &Path, to: &Path) -> Result<(), GitError> {
    let changed_at =
        fs::metadata(from).and_then(|meta| meta.modified()).map_err(GitError::io("read", from))?;
    fs::copy(from, to).map_err(GitError::io("copy to", to))?;
    let file = fs::File::options().write(true).open(to).map_err(GitError::io("open", to))?;
    file.set_modified(changed_at).map_err(GitError::io("write", to))
}

/// A value in quotes, without what would end it.
fn config_value(text: &str) -> String {
    let clean: String =
        text.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').collect();
    format!("\"{clean}\"")
}
