//! A commit in a session's tree, by an index of ours: the tree's own index gets exactly the files
//! that were committed, so that everything else in it stays staged as it was.

use std::fs;
use std::io::Write as _;

use cxo_protocol::{CommitId, Timestamp, TreeId, TreePath};

use super::{ScratchIndex, SessionTree, SessionTreeError};
use crate::error::GitError;
use crate::files::sync_directory;
use crate::names::{RepoPath, has_git_component};
use crate::objects::{Author, CommitSpec, commit_text, tree_id};
use crate::refs::Expected;
use crate::repository::{Head, commit_id};
use crate::shown::printable;

/// What git leaves in its directory while something is under way.
const UNDER_WAY: &[(&str, &str)] = &[
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
];

/// Which changes are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitScope {
    /// What is in the index, as `git commit` does.
    Staged,
    /// These files and what is below these folders, as they are in the tree.
    Paths(Vec<TreePath>),
    /// Everything that differs in the tree, new files included.
    All,
}

/// A commit to be made.
#[derive(Debug, Clone)]
pub struct SessionCommit {
    /// Subject and body.
    pub message: String,
    /// Our trailers.
    pub trailers: Vec<(String, String)>,
    /// What goes into it.
    pub scope: CommitScope,
    /// Author and committer.
    pub author: Author,
    /// Both dates.
    pub at: Timestamp,
}

impl SessionTree {
    /// Commits to the branch that the tree is on (or to its detached HEAD) if that is still where it was
    /// when the files were read. No hook runs.
    pub fn commit(&self, spec: &SessionCommit) -> Result<CommitId, SessionTreeError> {
        self.refuse_under_way()?;
        let parent = match self.repository.head()? {
            Head::Branch { commit, .. } | Head::Detached { commit } => Some(commit),
            Head::Unborn { .. } => None,
        };
        let before = self.index_bytes()?;
        let index = self.scratch_index(before.as_deref())?;
        if spec.scope != CommitScope::Staged {
            self.take_from_files(&index, parent.as_ref(), &spec.scope)?;
        }
        let tree = self.write_tree(&index)?;
        let listed = self.changed_entries(parent.as_ref(), &tree)?;
        if listed.is_empty() {
            return Err(SessionTreeError::NothingToCommit);
        }
        let commit = self.write_commit(spec, tree, parent.as_ref())?;
        let staged = if spec.scope == CommitScope::Staged {
            None
        } else {
            let after = self.staged_after(before.as_deref(), &listed)?;
            self.replace_index(before.as_deref(), &after)?;
            Some(after)
        };
        let moved = self.move_head(&commit, parent.as_ref(), &spec.message);
        if let (Err(_), Some(after), Some(before)) = (&moved, &staged, &before) {
            // The index goes back, unless somebody has changed it since.
            drop(self.replace_index(Some(after), before));
        }
        moved.map(|()| commit)
    }

    pub(super) fn refuse_under_way(&self) -> Result<(), SessionTreeError> {
        let found =
            UNDER_WAY.iter().find(|(name, _)| self.repository.git_dir().join(name).exists());
        found.map_or(Ok(()), |(_, what)| Err(SessionTreeError::UnderWay { what }))
    }

    /// Makes an index of the last commit with what differs in the files.
    fn take_from_files(
        &self,
        index: &ScratchIndex,
        parent: Option<&CommitId>,
        scope: &CommitScope,
    ) -> Result<(), SessionTreeError> {
        let from = match parent {
            Some(parent) => ["read-tree", "--reset", parent.as_str()].to_vec(),
            None => ["read-tree", "--empty"].to_vec(),
        };
        self.call(index).args(from).run()?;
        let list =
            ["ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard", "--"];
        let mut call = self.call(index).args(list);
        if let CommitScope::Paths(paths) = scope {
            call = call.args(paths.iter().map(TreePath::as_str));
        }
        let listed = match scope {
            CommitScope::Paths(paths) if paths.is_empty() => Vec::new(),
            CommitScope::Paths(_) | CommitScope::All | CommitScope::Staged => call.run()?.stdout,
        };
        let is_file = |name: &&[u8]| {
            let is_folder = || {
                RepoPath::new(*name)
                    .under(self.root())
                    .symlink_metadata()
                    .is_ok_and(|meta| meta.is_dir())
            };
            !name.is_empty()
                && name.last() != Some(&b'/')
                && !has_git_component(name)
                && !is_folder()
        };
        let names: Vec<u8> = listed
            .split(|&byte| byte == 0)
            .filter(is_file)
            .flat_map(|name| name.iter().copied().chain([0]))
            .collect();
        self.refuse_filtered(index, &names)?;
        let update = ["update-index", "-z", "--add", "--remove", "--replace", "--stdin"];
        self.writing_call(index).args(update).stdin(&names).run()?;
        Ok(())
    }

    /// What a filter would have changed is not committed as it lies there.
    fn refuse_filtered(&self, index: &ScratchIndex, names: &[u8]) -> Result<(), SessionTreeError> {
        let asked =
            self.call(index).args(["check-attr", "-z", "--stdin", "filter"]).stdin(names).run()?;
        let fields: Vec<&[u8]> = asked.stdout.split(|&byte| byte == 0).collect();
        for answer in fields.chunks_exact(3) {
            let [path, _, filter] = answer else { continue };
            let exists = RepoPath::new(*path).under(self.root()).symlink_metadata().is_ok();
            if exists && !matches!(*filter, b"unspecified" | b"unset" | b"") {
                let filter = printable(filter);
                return Err(SessionTreeError::Filtered { path: RepoPath::new(*path), filter });
            }
        }
        Ok(())
    }

    fn write_tree(&self, index: &ScratchIndex) -> Result<TreeId, SessionTreeError> {
        let unmerged = self.call(index).args(["ls-files", "-z", "--unmerged"]).run()?.stdout;
        if !unmerged.is_empty() {
            return Err(SessionTreeError::Unmerged);
        }
        let written = self.writing_call(index).args(["write-tree"]).run()?.stdout;
        Ok(tree_id(&String::from_utf8_lossy(&written))?)
    }

    /// What the commit changes, as lines that an index takes.
    pub(super) fn changed_entries(
        &self,
        parent: Option<&CommitId>,
        tree: &TreeId,
    ) -> Result<Vec<u8>, GitError> {
        let listed = match parent {
            Some(parent) => {
                let args =
                    ["diff-tree", "-r", "-z", "--no-renames", parent.as_str(), tree.as_str()];
                self.bare_call().args(args).run()?.stdout
            }
            None => self.bare_call().args(["ls-tree", "-r", "-z", tree.as_str()]).run()?.stdout,
        };
        let mut entries = Vec::new();
        let mut fields = listed.split(|&byte| byte == 0).filter(|field| !field.is_empty());
        while let Some(field) = fields.next() {
            if let Some(raw) = field.strip_prefix(b":") {
                // `<old mode> <new mode> <old name> <new name> <status>`, and the path apart.
                let words: Vec<&[u8]> = raw.split(|&byte| byte == b' ').collect();
                let (Some(mode), Some(object), Some(path)) =
                    (words.get(1), words.get(3), fields.next())
                else {
                    break;
                };
                entries.extend([mode, b" ".as_slice(), object, b" 0\t", path, b"\0"].concat());
            } else {
                // `<mode> <type> <name>\t<path>`, which an index takes as it is.
                entries.extend([field, b"\0"].concat());
            }
        }
        Ok(entries)
    }

    fn write_commit(
        &self,
        spec: &SessionCommit,
        tree: TreeId,
        parent: Option<&CommitId>,
    ) -> Result<CommitId, GitError> {
        let text = commit_text(&CommitSpec {
            tree,
            parents: parent.cloned().into_iter().collect(),
            message: spec.message.clone(),
            trailers: spec.trailers.clone(),
            author: spec.author.clone(),
            at: spec.at,
        });
        let call = self.bare_call().objects_in(&self.objects());
        let call = call.args(["hash-object", "-t", "commit", "-w", "--stdin"]);
        commit_id(&call.stdin(text.as_bytes()).run()?.stdout)
    }

    /// The tree's index with the committed files in it.
    pub(super) fn staged_after(
        &self,
        before: Option<&[u8]>,
        entries: &[u8],
    ) -> Result<Vec<u8>, GitError> {
        let index = self.scratch_index(before)?;
        let update = ["update-index", "-z", "--replace", "--index-info"];
        self.call(&index).args(update).stdin(entries).run()?;
        self.call(&index).args(["update-index", "-q", "--refresh"]).accept(&[0, 1]).run()?;
        fs::read(&index.0).map_err(GitError::io("read", &index.0))
    }

    /// Replaces the tree's index under its lock if it is still what it was.
    pub(super) fn replace_index(
        &self,
        before: Option<&[u8]>,
        after: &[u8],
    ) -> Result<(), SessionTreeError> {
        let path = self.index_path();
        let lock = path.with_extension("lock");
        let mut file = match fs::File::create_new(&lock) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(SessionTreeError::IndexLocked { path: lock });
            }
            Err(error) => return Err(GitError::io("create", &lock)(error).into()),
        };
        let replaced = (|| {
            if self.index_bytes()?.as_deref() != before {
                return Err(SessionTreeError::IndexChanged);
            }
            file.write_all(after)
                .and_then(|()| file.sync_all())
                .map_err(GitError::io("write", &lock))?;
            fs::rename(&lock, &path).map_err(GitError::io("rename to", &path))?;
            Ok(())
        })();
        if replaced.is_err() {
            // The lock is ours.
            drop(fs::remove_file(&lock));
        }
        replaced
    }

    pub(super) fn move_head(
        &self,
        commit: &CommitId,
        parent: Option<&CommitId>,
        message: &str,
    ) -> Result<(), SessionTreeError> {
        let subject = printable(message.lines().next().unwrap_or_default().as_bytes());
        let log = format!("commit: {subject}");
        let null = self.repository.object_format().null();
        let old = parent.map_or(null, CommitId::as_str);
        let args = ["update-ref", "-m", &log, "HEAD", commit.as_str(), old];
        let Err(error) = self.repository.call(args).run() else {
            let heads = self.repository.common_dir().join("refs/heads");
            return Ok(sync_directory(&heads)?);
        };
        let actual = self.repository.resolve("HEAD").ok();
        if actual.as_ref() == Some(commit) {
            // Killed after it had written: it is there.
            return Ok(());
        }
        if actual.as_ref() == parent {
            return Err(error.into());
        }
        let expected = parent.map_or(Expected::Absent, |parent| Expected::At(parent.clone()));
        Err(GitError::Moved { name: "HEAD".to_owned(), expected, actual }.into())
    }
}
