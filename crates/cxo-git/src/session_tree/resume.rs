//! A merge that was cut off: brought to its end, or taken back without touching what others did since.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::{CommitId, ContentSha};

use super::merge::{Content, new_content, state};
use super::{SessionTree, SessionTreeError};
use crate::tree_files::{FileEdit, Mode, Preimage, TreeFiles, digest};

/// What became of a merge that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resumed {
    /// It is done.
    Merged,
    /// Nothing of it is there.
    TakenBack {
        /// Why it could not be done.
        why: String,
    },
}

/// Names in the index or in a commit, as git writes them.
type Names = BTreeSet<Vec<u8>>;

impl SessionTree {
    /// Brings a merge to its end that was cut off, or takes it back if somebody has changed its files
    /// or moved the branch meanwhile. Files that were committed since are left as they are. `files` was
    /// recovered before.
    pub fn resume_merge(
        &self,
        files: &TreeFiles,
        from: &CommitId,
        to: &CommitId,
    ) -> Result<Resumed, SessionTreeError> {
        if self.contains(to)? {
            return Ok(Resumed::Merged);
        }
        let at = self.head()?;
        let taken_over = self.changed_names(from, &at)?;
        let changed = self.changed_files(from, to)?;
        let (old, new) = (self.contents(from, &changed)?, self.contents(to, &changed)?);
        let (mut forward, mut back, mut foreign) = (Vec::new(), Vec::new(), None);
        for ((path, old), new) in old.into_iter().zip(new.into_values()) {
            let now = state(files, &path)?;
            let expected = now.as_ref().map_or(Preimage::Absent, |(sha, _)| Preimage::Is(*sha));
            if self.is_as(now, new.as_ref()) {
                if !taken_over.contains(path.as_str().as_bytes()) {
                    back.push(FileEdit { path, expected, new: new_content(old) });
                }
            } else if self.is_as(now, old.as_ref()) {
                forward.push(FileEdit { path, expected, new: new_content(new) });
            } else {
                foreign = Some(path);
            }
        }
        let why = match foreign {
            Some(path) => format!("{path} was changed meanwhile"),
            None if at != *from => "the branch was moved meanwhile".to_owned(),
            None => {
                files.apply(&forward)?;
                self.follow(from, to)?;
                return Ok(Resumed::Merged);
            }
        };
        self.unstage(from, to, &taken_over)?;
        files.apply(&back)?;
        Ok(Resumed::TakenBack { why })
    }

    /// Takes the entries of a merge out of the index again. What somebody staged or committed since
    /// stays.
    pub(super) fn unstage(
        &self,
        from: &CommitId,
        to: &CommitId,
        taken_over: &Names,
    ) -> Result<(), SessionTreeError> {
        let merged = by_name(&self.changed_entries(Some(from), &self.tree_of(to)?)?);
        let old = by_name(&self.changed_entries(Some(to), &self.tree_of(from)?)?);
        let before = self.index_bytes()?;
        let index = self.scratch_index(before.as_deref())?;
        let staged = by_name(&self.call(&index).args(["ls-files", "-s", "-z"]).run()?.stdout);
        let mut back = Vec::new();
        for (name, entry) in &merged {
            let is_gone = entry.starts_with(b"000000 ");
            let is_merged = match staged.get(name) {
                Some(staged) => staged == entry,
                None => is_gone,
            };
            if let Some(old) = old.get(name).filter(|_| is_merged && !taken_over.contains(name)) {
                back.extend([old, b"\t".as_slice(), name, b"\0"].concat());
            }
        }
        if back.is_empty() {
            return Ok(());
        }
        let after = self.staged_after(before.as_deref(), &back)?;
        self.replace_index(before.as_deref(), &after)
    }

    /// What differs between two commits, whatever it is.
    fn changed_names(&self, from: &CommitId, to: &CommitId) -> Result<Names, SessionTreeError> {
        let args = ["diff-tree", "-r", "-z", "--no-renames", "--name-only"];
        let listed = self.bare_call().args(args).args([from.as_str(), to.as_str()]).run()?.stdout;
        let names = listed.split(|&byte| byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(<[u8]>::to_vec).collect())
    }

    /// Whether a file lies there as a commit has it, its mode included where the tree has modes.
    pub(super) fn is_as(&self, now: Option<(ContentSha, Mode)>, content: Option<&Content>) -> bool {
        let has_modes = !self
            .conversions
            .iter()
            .any(|(key, value)| *key == "core.filemode" && value == "false");
        match (now, content) {
            (None, None) => true,
            (Some((sha, mode)), Some((bytes, wanted))) => {
                sha == digest(bytes) && (mode == *wanted || !has_modes)
            }
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Lines `<mode> <object> <stage>\t<name>` by their names.
fn by_name(lines: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let lines = lines.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    let parts = lines.filter_map(|line| {
        let tab = line.iter().position(|&byte| byte == b'\t')?;
        Some((line.get(tab + 1..)?.to_vec(), line.get(..tab)?.to_vec()))
    });
    parts.collect()
}
