//! Unified diffs as git writes them, read strictly and applied in memory: what an agent hands in never
//! reaches `git apply`.
//!
//! ```text
//! let patch = Patch::parse(text)?;                   // everything that is not allowed is refused here
//! for path in patch.paths() { … }                    // what has to be locked, both sides of a rename
//! let edits = patch.apply(|path| base_file(path))?;  // every line compared with the base
//! files.apply(&edits)?;                              // all or nothing, over the base's content only
//! ```
//!
//! Taken are changed, new, deleted and renamed regular files. Refused are copies, binary patches,
//! symlinks and submodules, a file that appears twice, paths that lead out of the tree, and every line that is
//! not where the hunk says: there is no fuzz. It knows no git and no file system.

mod apply;
mod error;
mod lines;
mod names;
mod parse;

use cxo_protocol::TreePath;

use crate::tree_files::Mode;

pub use error::PatchError;

/// The longest patch: as large as the largest file that it could change.
pub const MAX_PATCH_BYTES: usize = 16 << 20;

/// A patch that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    files: Vec<FilePatch>,
}

/// What a file is at the commit that a patch was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its mode.
    pub mode: Mode,
}

/// What becomes of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FilePatch {
    change: Change,
    /// The mode that the base has to have, if the patch says so.
    old_mode: Option<Mode>,
    /// The mode that the file gets, if the patch says so.
    new_mode: Option<Mode>,
    hunks: Vec<Hunk>,
}

/// Which file, and what kind of change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    New(TreePath),
    Deleted(TreePath),
    Modified(TreePath),
    Renamed { from: TreePath, to: TreePath },
}

/// Some lines of the base and what stands there afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hunk {
    /// How many lines of the base come before it.
    old_before: usize,
    lines: Vec<Line>,
}

/// A line with its newline, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    side: Side,
    bytes: Vec<u8>,
}

/// On which side of a change a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Old,
    New,
}

impl Patch {
    /// Reads a whole patch.
    pub fn parse(text: &[u8]) -> Result<Self, PatchError> {
        parse::patch(text)
    }

    /// Every path that it touches, each once.
    pub fn paths(&self) -> impl Iterator<Item = &TreePath> {
        self.files.iter().flat_map(|file| file.change.paths())
    }
}

impl Change {
    fn paths(&self) -> Vec<&TreePath> {
        match self {
            Self::New(path) | Self::Deleted(path) | Self::Modified(path) => vec![path],
            Self::Renamed { from, to } => vec![from, to],
        }
    }
}

#[cfg(test)]
mod tests;
