//! Merging and comparing in the hub, without a working tree and without an index: flat in the
//! size of the repository, and with no program that a file could name.
//!
//! It moves no ref: what to do with a merged tree is decided elsewhere.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use cxo_protocol::{CommitId, TreeId};

use crate::error::GitError;
use crate::hub::Hub;
use crate::names::RepoPath;
use crate::objects::tree_id;
use crate::process::Call;
use crate::shown::printable;

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// Both sides are in the tree.
    Clean {
        /// The merged content.
        tree: TreeId,
    },
    /// Some files need a decision.
    Conflict {
        /// The content with conflict markers in the files that have them.
        tree: TreeId,
        /// The files, each once.
        files: Vec<ConflictedFile>,
    },
}

/// A file that both sides changed in ways that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictedFile {
    /// Where it is in the tree with markers.
    pub path: RepoPath,
    /// How it conflicts.
    pub kind: ConflictKind,
}

/// How a file conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// Both changed the same lines.
    Content,
    /// Both made a file of this name.
    AddAdd,
    /// One side changed what the other deleted.
    ModifyDelete,
    /// Renames that do not go together, or a file in a directory that the other side renamed.
    Rename,
    /// A file on one side where the other has a directory or another type.
    Type,
    /// A binary file that both changed.
    Binary,
    /// A submodule that both moved.
    Submodule,
}

/// How a file differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// The file; after a rename its new name.
    pub path: RepoPath,
    /// What happened.
    pub status: ChangeStatus,
    /// Lines added; none for binary files.
    pub added: Option<u32>,
    /// Lines removed; none for binary files.
    pub removed: Option<u32>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeStatus {
    /// It is new.
    Added,
    /// Its content or mode changed.
    Modified,
    /// It is gone.
    Deleted,
    /// It became a symlink, a file or a submodule.
    TypeChanged,
}

/// How much differs between two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiffStat {
    /// Files that differ.
    pub files: usize,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
}

impl Hub {
    /// Merges `source` into `target` and answers the tree; nothing but objects is written.
    pub fn merge(&self, target: &CommitId, source: &CommitId) -> Result<Merge, GitError> {
        merge_trees(self.call(&[]), target, source)
    }

    /// Whether everything in `ancestor` is in `descendant`.
    pub fn is_ancestor(
        &self,
        ancestor: &CommitId,
        descendant: &CommitId,
    ) -> Result<bool, GitError> {
        let args = ["merge-base", "--is-ancestor", ancestor.as_str(), descendant.as_str()];
        Ok(self.call(&args).accept(&[0, 1]).run()?.code == 0)
    }

    /// The difference between two commits as a patch that is safe to print.
    pub fn diff(&self, from: &CommitId, to: &CommitId) -> Result<String, GitError> {
        let args = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-prefix"];
        let args =
            [&args[..4], &["-M", "--src-prefix=a/", "--dst-prefix=b/", from.as_str(), to.as_str()]]
                .concat();
        Ok(printable(&self.run(&args)?.stdout))
    }

    /// How much differs between two commits.
    pub fn diff_stat(&self, from: &CommitId, to: &CommitId) -> Result<DiffStat, GitError> {
        let changes = self.changed_files(from, to)?;
        let sum = |count: fn(&FileChange) -> Option<u32>| {
            changes.iter().filter_map(count).map(u64::from).sum()
        };
        Ok(DiffStat { files: changes.len(), added: sum(|c| c.added), removed: sum(|c| c.removed) })
    }

    /// The files that differ between two commits, in the order of their names. A rename is a
    /// deletion and an addition.
    pub fn changed_files(
        &self,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Vec<FileChange>, GitError> {
        self.changed_between(from.as_str(), to.as_str())
    }

    /// The names that differ between two commits, in their order: cheaper than what differs.
    pub fn changed_paths(&self, from: &CommitId, to: &CommitId) -> Result<Vec<RepoPath>, GitError> {
        let pair = format!("{} {}\n", self.tree_of(from)?, self.tree_of(to)?);
        // What is no name of an object is said again.
        let end = unforeseen_line();
        self.differ().with(|differ| {
            differ.ask(format!("{pair}{end}").as_bytes())?;
            let said = differ.until(|said| said.ends_with(end.as_bytes()))?;
            let listed = said.strip_prefix(pair.as_bytes());
            // An error in here ends the process, which may have more to say of something else.
            let listed = listed.and_then(|rest| rest.strip_suffix(end.as_bytes()));
            let listed = listed.ok_or_else(|| GitError::Unexpected {
                command: "git diff-tree --stdin".to_owned(),
                what: printable(&said),
            })?;
            let names = listed.split(|&byte| byte == 0).filter(|name| !name.is_empty());
            Ok(names.map(RepoPath::new).collect())
        })
    }

    pub(crate) fn changed_between(
        &self,
        from: &str,
        to: &str,
    ) -> Result<Vec<FileChange>, GitError> {
        let args = [
            "diff-tree",
            "-r",
            "-z",
            "--raw",
            "--numstat",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
            from,
            to,
        ];
        let listed = self.run(&args)?.stdout;
        let mut changes: BTreeMap<RepoPath, FileChange> = BTreeMap::new();
        let mut fields = listed.split(|&byte| byte == 0);
        while let Some(field) = fields.next() {
            if field.starts_with(b":") {
                let path = RepoPath::new(fields.next().unwrap_or_default());
                let status = status_of(field);
                changes
                    .insert(path.clone(), FileChange { path, status, added: None, removed: None });
            } else if !field.is_empty() {
                add_counts(&mut changes, field);
            }
        }
        Ok(changes.into_values().collect())
    }
}

/// Merges by a call that says where objects are.
pub(crate) fn merge_trees(
    call: Call<'_>,
    target: &CommitId,
    source: &CommitId,
) -> Result<Merge, GitError> {
    let args = ["merge-tree", "--write-tree", "-z", "--messages", target.as_str(), source.as_str()];
    let merged = match call.args(args).accept(&[0, 1]).run() {
        Ok(merged) => merged,
        Err(GitError::Failed { stderr, .. }) if stderr.contains("unrelated histories") => {
            return Err(GitError::NoMergeBase { ours: target.clone(), theirs: source.clone() });
        }
        Err(error) => return Err(error),
    };
    let answer = MergeAnswer::read(&merged.stdout)?;
    let tree = tree_id(&answer.tree)?;
    if merged.code == 0 {
        return Ok(Merge::Clean { tree });
    }
    Ok(Merge::Conflict { tree, files: answer.files() })
}

/// A line that is no name of an object and that nobody could know when they made a tree: a name in a tree
/// may be anything, and what it says is not to be taken for the end of an answer.
fn unforeseen_line() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("/{:016x}{:016x}\n", random(), random())
}

fn status_of(raw: &[u8]) -> ChangeStatus {
    match raw.last() {
        Some(b'A') => ChangeStatus::Added,
        Some(b'D') => ChangeStatus::Deleted,
        Some(b'T') => ChangeStatus::TypeChanged,
        Some(_) | None => ChangeStatus::Modified,
    }
}

/// `added\tremoved\tpath`, with `-` for binary files.
fn add_counts(changes: &mut BTreeMap<RepoPath, FileChange>, field: &[u8]) {
    let mut parts = field.splitn(3, |&byte| byte == b'\t');
    let (Some(added), Some(removed), Some(path)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    if let Some(change) = changes.get_mut(&RepoPath::new(path)) {
        let count = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
        change.added = count(added);
        change.removed = count(removed);
    }
}

/// The parts of `merge-tree -z`: tree, conflicted entries, messages.
struct MergeAnswer {
    tree: String,
    /// For each file the stages (1 base, 2 ours, 3 theirs) that it has, as bits.
    stages: BTreeMap<RepoPath, u8>,
    kinds: BTreeMap<RepoPath, ConflictKind>,
}

impl MergeAnswer {
    fn read(bytes: &[u8]) -> Result<Self, GitError> {
        let mut fields = bytes.split(|&byte| byte == 0);
        let tree = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
        let mut stages: BTreeMap<RepoPath, u8> = BTreeMap::new();
        for field in fields.by_ref() {
            if field.is_empty() {
                break;
            }
            let Some(tab) = field.iter().position(|&byte| byte == b'\t') else {
                return Err(GitError::Unexpected {
                    command: "git merge-tree".to_owned(),
                    what: printable(field),
                });
            };
            let stage = field[..tab].last().map_or(0, |digit| digit.wrapping_sub(b'0') & 3);
            *stages.entry(RepoPath::new(&field[tab + 1..])).or_default() |= 1 << stage;
        }
        let mut kinds = BTreeMap::new();
        while let Some(count) = fields.next() {
            let count = String::from_utf8_lossy(count).parse().unwrap_or(0_usize);
            let paths: Vec<RepoPath> = fields.by_ref().take(count).map(RepoPath::new).collect();
            let message_type = fields.next().unwrap_or_default();
            let _message = fields.next();
            if let Some(kind) = conflict_kind(message_type) {
                for path in paths {
                    let known = kinds.entry(path).or_insert(kind);
                    *known = (*known).max(kind);
                }
            }
        }
        Ok(Self { tree, stages, kinds })
    }

    /// Conflicted entries and files that only a message names (a rename to two names has entries
    /// for some of them only).
    fn files(mut self) -> Vec<ConflictedFile> {
        for (path, stages) in self.stages {
            let kind = self.kinds.entry(path).or_insert(ConflictKind::Content);
            let without_base = stages & 0b10 == 0;
            if *kind == ConflictKind::Content && without_base {
                *kind = ConflictKind::AddAdd;
            }
        }
        self.kinds.into_iter().map(|(path, kind)| ConflictedFile { path, kind }).collect()
    }
}

/// The stable short types of `merge-tree -z`; none for messages that are no conflict.
fn conflict_kind(message_type: &[u8]) -> Option<ConflictKind> {
    let text = String::from_utf8_lossy(message_type);
    let kind = text.strip_prefix("CONFLICT (")?;
    Some(if kind.starts_with("contents") {
        ConflictKind::Content
    } else if kind.starts_with("add/add") {
        ConflictKind::AddAdd
    } else if kind.starts_with("modify/delete") {
        ConflictKind::ModifyDelete
    } else if kind.starts_with("binary") {
        ConflictKind::Binary
    } else if kind.contains("submodule") {
        ConflictKind::Submodule
    } else if kind.contains("rename")
        || kind.contains("directory rename")
        || kind.contains("file location")
    {
        ConflictKind::Rename
    } else {
        ConflictKind::Type
    })
}
