//! Putting the work of one worktree into another that somebody works in. All of it is computed
//! without touching a file there; then its files change places with the merged ones over what they
//! were and nothing else, then its index, then its branch. What was cut off is brought to its end or
//! taken back (`resume`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use cxo_protocol::{CommitId, ContentSha, Timestamp, TreeId, TreePath};

use super::{SessionTree, SessionTreeError};
use crate::error::GitError;
use crate::fail_point;
use crate::files::{make_directory, remove_tree};
use crate::landing::{Merge, merge_trees};
use crate::names::RepoPath;
use crate::objects::{Author, CommitSpec, commit_text, tree_id};
use crate::repository::{Head, commit_id};
use crate::tree_files::{FileEdit, Mode, NewContent, Preimage, TreeFiles, digest};

/// Who merges what.
#[derive(Debug, Clone)]
pub struct MergeSpec {
    /// What is merged.
    pub head: CommitId,
    /// Subject and body of the merge commit.
    pub message: String,
    /// Author and committer.
    pub author: Author,
    /// Both dates.
    pub at: Timestamp,
}

/// A merge that was computed and changed nothing yet.
#[derive(Debug, Clone)]
pub struct TreeMerge {
    /// Where the tree is.
    pub from: CommitId,
    /// The merge commit, to which nothing refers yet.
    pub to: CommitId,
    edits: Vec<FileEdit>,
}

impl TreeMerge {
    /// The files that it changes.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.edits.iter().map(|edit| &edit.path)
    }
}

/// What a merge would do.
#[derive(Debug, Clone)]
pub enum MergePlan {
    /// The tree has all of it.
    Nothing {
        /// Where it is.
        at: CommitId,
    },
    /// This.
    Merge(TreeMerge),
}

/// The content of files; nothing for one that is not there.
pub(super) type Contents = BTreeMap<TreePath, Option<Content>>;

/// The bytes of a file, and whether it may be run.
pub(super) type Content = (Vec<u8>, Mode);

impl SessionTree {
    /// Where the tree is.
    pub fn head(&self) -> Result<CommitId, SessionTreeError> {
        match self.repository.head()? {
            Head::Branch { commit, .. } | Head::Detached { commit } => Ok(commit),
            Head::Unborn { .. } => Err(GitError::EmptyRepository.into()),
        }
    }

    /// Whether all that is in a commit is in the tree's own.
    pub fn contains(&self, commit: &CommitId) -> Result<bool, SessionTreeError> {
        let head = self.head()?;
        let args = ["merge-base", "--is-ancestor", commit.as_str(), head.as_str()];
        Ok(self.bare_call().args(args).accept(&[0, 1]).run()?.code == 0)
    }

    /// The files that are not as in the last commit, in index or tree, new ones included; an operation
    /// that is under way is an error.
    pub fn uncommitted(&self) -> Result<Vec<RepoPath>, SessionTreeError> {
        self.refuse_under_way()?;
        let head = self.head()?;
        let bytes = self.index_bytes()?;
        let index = self.scratch_index(bytes.as_deref())?;
        self.show_hidden(&index)?;
        self.call(&index).args(["update-index", "-q", "--refresh"]).accept(&[0, 1]).run()?;
        let names = ["--name-only", "-z", "--no-renames", "--ignore-submodules=all"];
        let staged = self.call(&index).args(["diff-index", "--cached"]).args(names);
        let staged = staged.args([head.as_str(), "--"]).run()?.stdout;
        let unstaged = self.call(&index).args(["diff-files"]).args(names).run()?.stdout;
        let others = ["ls-files", "-z", "--others", "--exclude-standard"];
        let others = self.call(&index).args(others).run()?.stdout;
        let mut found: Vec<RepoPath> = [staged, unstaged, others]
            .iter()
            .flat_map(|listed| listed.split(|&byte| byte == 0))
            .filter(|name| !name.is_empty())
            .map(RepoPath::new)
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Computes a merge. What is uncommitted in this tree stays as it is: if the merge would touch
    /// that, or does not come out clean, it is refused with the files.
    pub fn plan_merge(
        &self,
        files: &TreeFiles,
        spec: &MergeSpec,
    ) -> Result<MergePlan, SessionTreeError> {
        let dirty = self.uncommitted()?;
        let from = self.head()?;
        if self.contains(&spec.head)? {
            return Ok(MergePlan::Nothing { at: from });
        }
        let call = self.bare_call().objects_in(&self.objects());
        let tree = match merge_trees(call, &from, &spec.head)? {
            Merge::Clean { tree } => tree,
            Merge::Conflict { files, .. } => {
                let files = files.into_iter().map(|file| file.path).collect();
                return Err(SessionTreeError::MergeConflict { files });
            }
        };
        let text = commit_text(&CommitSpec {
            tree: tree.clone(),
            parents: vec![from.clone(), spec.head.clone()],
            message: spec.message.clone(),
            trailers: Vec::new(),
            author: spec.author.clone(),
            at: spec.at,
        });
        let call = self.bare_call().objects_in(&self.objects());
        let call = call.args(["hash-object", "-t", "commit", "-w", "--stdin"]);
        let to = commit_id(&call.stdin(text.as_bytes()).run()?.stdout)?;
        let paths = self.changed_files(&from, &to)?;
        let mut in_the_way: Vec<RepoPath> =
            dirty.into_iter().filter(|path| paths.iter().any(|own| meet(own, path))).collect();
        let mut edits = Vec::new();
        let old = self.contents(&from, &paths)?;
        for ((path, content), old) in self.contents(&to, &paths)?.into_iter().zip(old.values()) {
            // What git ignores is nobody's commit either, and what was written since is not overwritten.
            if !self.is_as(state(files, &path)?, old.as_ref()) {
                in_the_way.push(RepoPath::from(path.as_str()));
            }
            let sha = old.as_ref().map(|(bytes, _)| digest(bytes));
            let expected = sha.map_or(Preimage::Absent, Preimage::Is);
            edits.push(FileEdit { path, expected, new: new_content(content) });
        }
        if !in_the_way.is_empty() {
            in_the_way.sort();
            in_the_way.dedup();
            return Err(SessionTreeError::InTheWay { files: in_the_way });
        }
        Ok(MergePlan::Merge(TreeMerge { from, to, edits }))
    }

    /// Does what was planned; if it cannot be done, the tree is as it was.
    pub fn merge(&self, files: &TreeFiles, merge: &TreeMerge) -> Result<(), SessionTreeError> {
        let before: Vec<(TreePath, Option<Content>)> = merge
            .edits
            .iter()
            .map(|edit| {
                let old = match edit.expected {
                    Preimage::Absent => None,
                    Preimage::Is(_) | Preimage::Any => {
                        let read = files.read(&edit.path)?;
                        Some((read.bytes, read.mode))
                    }
                };
                Ok((edit.path.clone(), old))
            })
            .collect::<Result<_, SessionTreeError>>()?;
        fail_point::reached("tree_merge.begun");
        files.apply(&merge.edits)?;
        fail_point::reached("tree_merge.files");
        let Err(failed) = self.follow(&merge.from, &merge.to) else { return Ok(()) };
        let back: Vec<FileEdit> = before
            .into_iter()
            .zip(&merge.edits)
            .map(|((path, old), edit)| FileEdit {
                path,
                expected: as_seen(&edit.new),
                new: new_content(old),
            })
            .collect();
        let unstaged = self.unstage(&merge.from, &merge.to, &BTreeSet::new());
        let restored = files.apply(&back).map_err(SessionTreeError::from);
        match unstaged.and(restored.map(drop)) {
            Ok(()) => Err(failed),
            Err(then) => Err(SessionTreeError::NotTakenBack { why: format!("{failed}; {then}") }),
        }
    }

    /// Index and branch follow the files.
    pub(super) fn follow(&self, from: &CommitId, to: &CommitId) -> Result<(), SessionTreeError> {
        self.stage(from, to)?;
        fail_point::reached("tree_merge.index");
        self.move_head(to, Some(from), "merge of a worktree")?;
        fail_point::reached("tree_merge.head");
        Ok(())
    }

    /// Gives the index the entries that differ between two commits; all others stay as they are.
    fn stage(&self, from: &CommitId, to: &CommitId) -> Result<(), SessionTreeError> {
        let before = self.index_bytes()?;
        let entries = self.changed_entries(Some(from), &self.tree_of(to)?)?;
        let after = self.staged_after(before.as_deref(), &entries)?;
        self.replace_index(before.as_deref(), &after)
    }

    pub(super) fn tree_of(&self, commit: &CommitId) -> Result<TreeId, GitError> {
        let name = format!("{commit}^{{tree}}");
        let found = self.bare_call().args(["rev-parse", "-q", "--verify", &name]).run()?;
        tree_id(&String::from_utf8_lossy(&found.stdout))
    }

    /// The files that differ between two commits, in order. Symlinks and submodules are not put into a
    /// tree that somebody works in.
    pub(super) fn changed_files(
        &self,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Vec<TreePath>, SessionTreeError> {
        let args = ["diff-tree", "-r", "-z", "--no-renames", from.as_str(), to.as_str()];
        let listed = self.bare_call().args(args).run()?.stdout;
        let mut fields = listed.split(|&byte| byte == 0).filter(|field| !field.is_empty());
        let mut changed = Vec::new();
        while let (Some(raw), Some(name)) = (fields.next(), fields.next()) {
            let mut modes = raw.split(|&byte| byte == b' ').take(2);
            let is_plain = modes.all(|mode| {
                let mode = mode.strip_prefix(b":").unwrap_or(mode);
                matches!(mode, b"000000" | b"100644" | b"100755")
            });
            let path = std::str::from_utf8(name).ok().and_then(|name| TreePath::new(name).ok());
            match path.filter(|_| is_plain) {
                Some(path) => changed.push(path),
                None => return Err(SessionTreeError::Unusual { path: RepoPath::new(name) }),
            }
        }
        Ok(changed)
    }

    /// What files of a commit hold as they lie in this tree, in the order of their names.
    pub(super) fn contents(
        &self,
        commit: &CommitId,
        paths: &[TreePath],
    ) -> Result<Contents, SessionTreeError> {
        let index = self.scratch_index(None)?;
        self.call(&index).args(["read-tree", commit.as_str()]).run()?;
        let room = Room::new(index.0.with_extension("files"))?;
        let prefix = format!("--prefix={}/", room.0.display());
        let names: Vec<u8> =
            paths.iter().flat_map(|path| path.as_str().bytes().chain([0])).collect();
        let known = self.call(&index).args(["ls-files", "-z", "--cached", "--"]);
        let known = known.args(paths.iter().map(TreePath::as_str));
        let known = if names.is_empty() { Vec::new() } else { known.run()?.stdout };
        let checkout = ["checkout-index", "-q", "-z", "--stdin", &prefix];
        self.call(&index).args(checkout).stdin(&known).run()?;
        let mut contents = Contents::new();
        for path in paths {
            let file = room.0.join(path.as_str());
            let content = match fs::metadata(&file) {
                Ok(meta) => {
                    use std::os::unix::fs::PermissionsExt as _;
                    let bytes = fs::read(&file).map_err(GitError::io("read", &file))?;
                    let is_program = meta.permissions().mode() & 0o100 != 0;
                    Some((bytes, if is_program { Mode::Executable } else { Mode::Plain }))
                }
                Err(_) => None,
            };
            contents.insert(path.clone(), content);
        }
        Ok(contents)
    }
}

/// A directory that is gone when it is dropped.
struct Room(PathBuf);

impl Room {
    fn new(path: PathBuf) -> Result<Self, GitError> {
        make_directory(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // What is left is cleared at the next opening.
        drop(remove_tree(&self.0));
    }
}

/// Whether one path is the other, or lies below it.
fn meet(own: &TreePath, other: &RepoPath) -> bool {
    let (own, other) = (own.as_str().as_bytes(), other.as_bytes());
    let other = other.strip_suffix(b"/").unwrap_or(other);
    let below = |path: &[u8], above: &[u8]| {
        path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    below(own, other) || below(other, own)
}

/// What is there now.
pub(super) fn state(
    files: &TreeFiles,
    path: &TreePath,
) -> Result<Option<(ContentSha, Mode)>, SessionTreeError> {
    match files.read(path) {
        Ok(found) => Ok(Some((found.sha, found.mode))),
        Err(crate::FileError::NotFound { .. } | crate::FileError::NoFolder { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn new_content(content: Option<Content>) -> NewContent {
    match content {
        Some((bytes, mode)) => NewContent::Bytes { bytes, mode: Some(mode) },
        None => NewContent::Gone,
    }
}

fn as_seen(new: &NewContent) -> Preimage {
    match new {
        NewContent::Bytes { bytes, .. } => Preimage::Is(digest(bytes)),
        NewContent::Gone => Preimage::Absent,
    }
}
