//! A patch on its base: each context and removed line is compared with the base at exactly its
//! place, and what comes out are edits that are right over that base only.

use cxo_protocol::TreePath;

use super::error::PatchError;
use super::{BaseFile, Change, FilePatch, Patch, Side};
use crate::tree_files::{FileEdit, MAX_FILE_BYTES, NewContent, Preimage, digest};

impl Patch {
    /// What the files become. `base` answers what a file was at the commit that the patch was made
    /// for; its own errors come through.
    pub fn apply<E: From<PatchError>>(
        &self,
        mut base: impl FnMut(&TreePath) -> Result<Option<BaseFile>, E>,
    ) -> Result<Vec<FileEdit>, E> {
        let mut edits = Vec::new();
        for file in &self.files {
            let found = match &file.change {
                Change::New(path) | Change::Deleted(path) | Change::Modified(path) => base(path)?,
                Change::Renamed { from, to } => {
                    if base(to)?.is_some() {
                        return Err(PatchError::Exists { path: to.clone() }.into());
                    }
                    base(from)?
                }
            };
            edits.extend(file.apply(found)?);
        }
        Ok(edits)
    }
}

impl FilePatch {
    fn apply(&self, found: Option<BaseFile>) -> Result<Vec<FileEdit>, PatchError> {
        let gone = |path: &TreePath, old: &BaseFile| FileEdit {
            path: path.clone(),
            expected: Preimage::Is(digest(&old.bytes)),
            new: NewContent::Gone,
        };
        Ok(match &self.change {
            Change::New(path) => {
                if found.is_some() {
                    return Err(PatchError::Exists { path: path.clone() });
                }
                let bytes = self.changed(path, &[])?;
                let new = NewContent::Bytes { bytes, mode: self.new_mode };
                vec![FileEdit { path: path.clone(), expected: Preimage::Absent, new }]
            }
            Change::Deleted(path) => {
                let old = self.check_base(path, found)?;
                if !self.changed(path, &old.bytes)?.is_empty() {
                    return Err(PatchError::NotEmptied { path: path.clone() });
                }
                vec![gone(path, &old)]
            }
            Change::Modified(path) => {
                let old = self.check_base(path, found)?;
                let expected = Preimage::Is(digest(&old.bytes));
                let bytes = self.changed(path, &old.bytes)?;
                let new = NewContent::Bytes { bytes, mode: self.new_mode };
                vec![FileEdit { path: path.clone(), expected, new }]
            }
            Change::Renamed { from, to } => {
                let old = self.check_base(from, found)?;
                let bytes = self.changed(to, &old.bytes)?;
                let new =
                    NewContent::Bytes { bytes, mode: Some(self.new_mode.unwrap_or(old.mode)) };
                vec![
                    gone(from, &old),
                    FileEdit { path: to.clone(), expected: Preimage::Absent, new },
                ]
            }
        })
    }

    /// The file in the base, there and with the mode that the patch says.
    fn check_base(&self, path: &TreePath, found: Option<BaseFile>) -> Result<BaseFile, PatchError> {
        let found = found.ok_or_else(|| PatchError::Missing { path: path.clone() })?;
        if self.old_mode.is_some_and(|mode| mode != found.mode) {
            return Err(PatchError::OtherMode { path: path.clone() });
        }
        Ok(found)
    }

    /// The content after all hunks.
    fn changed(&self, path: &TreePath, base: &[u8]) -> Result<Vec<u8>, PatchError> {
        let old: Vec<&[u8]> = base.split_inclusive(|&byte| byte == b'\n').collect();
        let mut at = 0;
        let mut out = Output { bytes: Vec::new(), path };
        for hunk in &self.hunks {
            let missing = || PatchError::Mismatch { path: path.clone(), line: old.len() + 1 };
            for line in old.get(at..hunk.old_before).ok_or_else(missing)? {
                out.push(line)?;
            }
            at = hunk.old_before;
            for line in &hunk.lines {
                if line.side != Side::New {
                    if old.get(at).copied() != Some(line.bytes.as_slice()) {
                        return Err(PatchError::Mismatch { path: path.clone(), line: at + 1 });
                    }
                    at += 1;
                }
                if line.side != Side::Old {
                    out.push(&line.bytes)?;
                }
            }
        }
        for line in old.get(at..).unwrap_or_default() {
            out.push(line)?;
        }
        Ok(out.bytes)
    }
}

/// A content that grows line by line.
struct Output<'a> {
    bytes: Vec<u8>,
    path: &'a TreePath,
}

impl Output<'_> {
    fn push(&mut self, line: &[u8]) -> Result<(), PatchError> {
        if self.bytes.last().is_some_and(|&byte| byte != b'\n') {
            return Err(PatchError::NoNewline { path: self.path.clone() });
        }
        self.bytes.extend_from_slice(line);
        if self.bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(PatchError::ResultTooLarge { path: self.path.clone() });
        }
        Ok(())
    }
}
