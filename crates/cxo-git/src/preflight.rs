//! What is unusual about the user's repository, found before anything starts: refused by name, or
//! handled and noted.
//!
//! It only reads; it decides nothing about runs.

use std::fmt;

use cxo_protocol::CommitId;

use crate::error::GitError;
use crate::names::RepoPath;
use crate::repository::{Dirty, Head, Repository};

/// How many `.gitattributes` files are looked at for filters; a repository has a handful.
const MAX_ATTRIBUTE_FILES: usize = 200;

/// What was found out before a run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preflight {
    /// What a person should know; nothing here stops a run.
    pub notes: Vec<Note>,
}

/// Something unusual that is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Uncommitted work: it stays untouched and is not part of the base.
    Dirty(Dirty),
    /// HEAD is on no branch.
    DetachedHead {
        /// Its commit.
        commit: CommitId,
    },
    /// Submodules are kept at their commits; workspaces have empty directories in their places.
    Submodules {
        /// Where they are.
        paths: Vec<RepoPath>,
    },
    /// Files of Git LFS stay pointers in workspaces.
    LfsPointers,
    /// Attributes that convert content (line endings, encodings, filters) have no effect in
    /// workspaces: files are as they are stored.
    Conversions,
    /// The sparse checkout is not used: workspaces hold every file.
    SparseCheckout,
    /// History ends early; only commits after the base are merged, so that is enough.
    ShallowClone,
    /// All objects of the base are here though the clone is partial.
    PartialClone,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty(Dirty { staged, unstaged, untracked }) => write!(
                f,
                "uncommitted changes stay untouched and are not part of the base ({staged} staged, {unstaged} unstaged, {untracked} untracked)"
            ),
            Self::DetachedHead { commit } => write!(f, "HEAD is on no branch, at {}", commit.short()),
            Self::Submodules { paths } => write!(
                f,
                "{} submodules are kept at their commits and are empty in workspaces: {}",
                paths.len(),
                paths.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ),
            Self::LfsPointers => f.write_str("files of Git LFS are pointers in workspaces"),
            Self::Conversions => f.write_str(
                "attributes that convert files (eol, encoding, filters) have no effect in workspaces",
            ),
            Self::SparseCheckout => {
                f.write_str("workspaces hold every file, the sparse checkout is not used")
            }
            Self::ShallowClone => f.write_str("the clone is shallow: history before its edge is not seen"),
            Self::PartialClone => f.write_str("the clone is partial, and all of the base is here"),
        }
    }
}

impl Repository {
    /// Looks for what a run from `base` would stumble over.
    pub fn preflight(&self, base: &CommitId) -> Result<Preflight, GitError> {
        let mut notes = Vec::new();
        match self.head()? {
            Head::Unborn { .. } | Head::Branch { .. } => {}
            Head::Detached { commit } => notes.push(Note::DetachedHead { commit }),
        }
        if self.is_partial()? {
            let missing = self.missing_objects(base)?;
            if missing > 0 {
                return Err(GitError::PartialClone { missing });
            }
            notes.push(Note::PartialClone);
        }
        let dirty = self.dirty()?;
        if !dirty.is_clean() {
            notes.push(Note::Dirty(dirty));
        }
        self.note_content(base, &mut notes)?;
        if self.setting("core.sparseCheckout")?.is_some_and(|value| value == "true") {
            notes.push(Note::SparseCheckout);
        }
        if self.run(["rev-parse", "--is-shallow-repository"])?.stdout.starts_with(b"true") {
            notes.push(Note::ShallowClone);
        }
        Ok(Preflight { notes })
    }

    fn is_partial(&self) -> Result<bool, GitError> {
        let pattern = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$";
        let found =
            self.call(["config", "--name-only", "--get-regexp", pattern]).accept(&[0, 1]).run()?;
        Ok(found.code == 0)
    }

    fn missing_objects(&self, base: &CommitId) -> Result<usize, GitError> {
        let listed =
            self.run(["rev-list", "--objects", "--no-walk", "--missing=print", base.as_str()])?;
        Ok(listed.stdout.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"?")).count())
    }

    fn note_content(&self, base: &CommitId, notes: &mut Vec<Note>) -> Result<(), GitError> {
        let listed = self.run(["ls-tree", "-r", "-z", "--full-tree", base.as_str()])?;
        let mut submodules = Vec::new();
        let mut attributes = Vec::new();
        for entry in listed.stdout.split(|&byte| byte == 0) {
            let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else { continue };
            let (meta, path) = (&entry[..tab], &entry[tab + 1..]);
            if meta.starts_with(b"160000 ") {
                submodules.push(RepoPath::new(path));
            } else if path == b".gitattributes" || path.ends_with(b"/.gitattributes") {
                let object = meta.rsplit(|&byte| byte == b' ').next().unwrap_or_default();
                attributes.push(String::from_utf8_lossy(object).into_owned());
            }
        }
        if !submodules.is_empty() {
            notes.push(Note::Submodules { paths: submodules });
        }
        let (mut lfs, mut conversions) = (false, false);
        for blob in attributes.iter().take(MAX_ATTRIBUTE_FILES) {
            let content = self.run(["cat-file", "blob", blob])?.stdout;
            let text = String::from_utf8_lossy(&content);
            let words = || {
                text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
            };
            lfs |= words().any(|word| word == "filter=lfs");
            conversions |= words().any(|word| {
                (word.starts_with("filter=") && word != "filter=lfs")
                    || word.starts_with("eol=")
                    || word.starts_with("working-tree-encoding=")
                    || word == "ident"
            });
        }
        notes.extend(lfs.then_some(Note::LfsPointers));
        notes.extend(conversions.then_some(Note::Conversions));
        Ok(())
    }
}
