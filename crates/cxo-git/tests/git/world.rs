//! A user's repository with a hub beside it, and the plain git of a user or an agent, which is an
//! independent witness: it shares nothing with the code under test.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cxo_git::{
    Author, CommitSpec, Hub, Repository, Snapshot, SnapshotSpec, Workspace, WorkspaceKind,
    WorkspaceSpec,
};
use cxo_protocol::{CommitId, RunId, Timestamp};
use cxo_testkit::repository::{git, write};
use tempfile::TempDir;

pub(crate) const PIN: &str = "refs/cxo/pins/t1";
pub(crate) const AT: Timestamp = Timestamp(1_700_000_000_000);

pub(crate) struct World {
    dir: TempDir,
    pub(crate) user: Repository,
    pub(crate) hub: Hub,
    pub(crate) base: CommitId,
}

impl World {
    /// A repository with `src/a.txt`, `src/b.txt`, `top.txt` and an ignore rule for `target/`.
    pub(crate) fn new() -> Self {
        Self::of(&[])
    }

    /// The same, made by `git init` with more options.
    pub(crate) fn of(init: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("user");
        git(dir.path(), &[&["init", "-q", "-b", "main"], init, &["user"]].concat());
        write(&root, "src/a.txt", "one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\n");
        write(&root, "src/b.txt", "b\n");
        write(&root, "top.txt", "top\n");
        write(&root, ".gitignore", "target/\n*.log\n");
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "-qm", "base"]);
        let user = Repository::discover(&root).unwrap();
        let hub = Hub::open(&dir.path().join("state/hub"), &user).unwrap();
        let base = user.resolve("HEAD").unwrap();
        hub.pin_base(&RunId::new("r1").unwrap(), &base).unwrap();
        Self { dir, user, hub, base }
    }

    pub(crate) fn root(&self) -> &Path {
        self.user.work_tree()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn workspaces(&self) -> PathBuf {
        self.path("workspaces")
    }

    pub(crate) fn reopen(&mut self) {
        self.hub = Hub::open(&self.path("state/hub"), &self.user).unwrap();
    }

    pub(crate) fn spec(&self, name: &str, kind: WorkspaceKind) -> WorkspaceSpec {
        WorkspaceSpec {
            path: self.workspaces().join(name),
            base: self.base.clone(),
            kind,
            marker: format!("r1.{name}.a1"),
            branch: Some(format!("cxo/{name}")),
            author: author(),
        }
    }

    pub(crate) fn workspace(&self, name: &str, kind: WorkspaceKind) -> Workspace {
        self.hub.create_workspace(&self.spec(name, kind)).unwrap()
    }

    pub(crate) fn snapshot_spec(&self, workspace: &Path) -> SnapshotSpec {
        SnapshotSpec {
            workspace: workspace.to_owned(),
            base: self.base.clone(),
            pin: PIN.to_owned(),
            message: "snapshot".to_owned(),
            trailers: vec![("Cxo-Task".to_owned(), "t1".to_owned())],
            author: author(),
            at: AT,
            max_untracked_bytes: 1 << 20,
        }
    }

    pub(crate) fn snapshot(&self, workspace: &Path) -> Snapshot {
        self.hub.snapshot(&self.snapshot_spec(workspace)).unwrap()
    }

    /// A commit in the hub on `parent` with these files written over it.
    pub(crate) fn commit(&self, parent: &CommitId, files: &[(&str, Option<&str>)]) -> CommitId {
        let path = self.workspaces().join("builder");
        if path.exists() {
            self.hub.reset_workspace(&path, parent).unwrap();
        } else {
            let mut spec = self.spec("builder", WorkspaceKind::Clone);
            spec.base = parent.clone();
            self.hub.create_workspace(&spec).unwrap();
        }
        for (name, text) in files {
            match text {
                Some(text) => write(&path, name, text),
                None => fs::remove_file(path.join(name)).unwrap(),
            }
        }
        let mut spec = self.snapshot_spec(&path);
        spec.base = parent.clone();
        "refs/cxo/pins/builder".clone_into(&mut spec.pin);
        self.hub.snapshot(&spec).unwrap().commit
    }

    pub(crate) fn commit_spec(&self, message: &str) -> CommitSpec {
        CommitSpec {
            tree: self.hub.tree_of(&self.base).unwrap(),
            parents: vec![self.base.clone()],
            message: message.to_owned(),
            trailers: vec![("Cxo-Run".to_owned(), "r1".to_owned())],
            author: author(),
            at: AT,
        }
    }

    /// What plain git says in the hub.
    pub(crate) fn in_hub(&self, args: &[&str]) -> String {
        git(self.hub.dir(), args)
    }
}

pub(crate) fn author() -> Author {
    Author { name: "An Agent".to_owned(), email: "agent@localhost".to_owned() }
}

pub(crate) fn write_program(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Every file below `root` with its content, mode and time of change; what `without` names is
/// left out.
pub(crate) fn fingerprint(root: &Path, without: &[&str]) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if without.iter().any(|part| name.starts_with(part)) {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if meta.is_dir() {
                open.push(path);
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let changed = if meta.is_dir() { 0 } else { meta.mtime_nsec() + meta.mtime() };
            found.insert(name, (meta.mode(), changed, content));
        }
    }
    found
}
