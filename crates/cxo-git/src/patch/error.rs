//! Why a patch was not taken: one closed enum; the lines are those of the patch, counted from 1.

use cxo_protocol::{InvalidPath, TreePath};

use super::MAX_PATCH_BYTES;
use crate::tree_files::{MAX_EDITS, MAX_FILE_BYTES};

/// Why a patch was not taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// More than [`MAX_PATCH_BYTES`].
    #[error("the patch has {bytes} bytes, more than {MAX_PATCH_BYTES}; split it")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// There is no file in it.
    #[error("the patch changes no file")]
    Empty,
    /// More files than can be changed at once.
    #[error("the patch changes more than {MAX_EDITS} files; split it")]
    TooManyFiles,
    /// A line that cannot stand where it stands.
    #[error("line {line} of the patch: expected {expected}")]
    Syntax {
        /// The line.
        line: usize,
        /// What could stand there.
        expected: &'static str,
    },
    /// A name that is not written as git writes it.
    #[error("line {line} of the patch: {why}")]
    Name {
        /// The line.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name that is no path inside the tree.
    #[error("line {line} of the patch: {source}")]
    Path {
        /// The line.
        line: usize,
        /// Why not.
        source: InvalidPath,
    },
    /// A mode other than `100644` and `100755`: a symlink, a submodule, a folder.
    #[error("line {line} of the patch: only modes 100644 and 100755 are taken, not {mode}")]
    Mode {
        /// The line.
        line: usize,
        /// The mode, escaped.
        mode: String,
    },
    /// A copy: its source need not be in the patch's reach.
    #[error("line {line} of the patch: copies are not taken; write the copy as a new file")]
    Copy {
        /// The line.
        line: usize,
    },
    /// Content that is no text.
    #[error("line {line} of the patch: binary patches are not taken; write the file instead")]
    Binary {
        /// The line.
        line: usize,
    },
    /// A line number or count that no file has.
    #[error("line {line} of the patch: a number in the hunk is larger than any file")]
    Number {
        /// The line.
        line: usize,
    },
    /// A hunk that has not as many lines as it says.
    #[error("line {line} of the patch: the hunk has other lines than its header counts")]
    Count {
        /// The line.
        line: usize,
    },
    /// A hunk before the end of the one before it, or whose two positions disagree.
    #[error("line {line} of the patch: the hunk is not where the hunks before it leave off")]
    Position {
        /// The line.
        line: usize,
    },
    /// One file in two places of the patch.
    #[error("{path} stands in the patch twice")]
    Twice {
        /// The file.
        path: TreePath,
    },
    /// A file that the patch changes is not in the base.
    #[error("{path} is not in the base; make the patch against the base that is named")]
    Missing {
        /// The file.
        path: TreePath,
    },
    /// A file that the patch makes is in the base.
    #[error("{path} is in the base already; make the patch against the base that is named")]
    Exists {
        /// The file.
        path: TreePath,
    },
    /// The base has another mode than the patch says.
    #[error("{path} has another mode in the base than in the patch")]
    OtherMode {
        /// The file.
        path: TreePath,
    },
    /// A context or removed line that the base does not have there.
    #[error("{path} differs from the patch at line {line} of the base; there is no fuzz")]
    Mismatch {
        /// The file.
        path: TreePath,
        /// The line of the base, counted from 1.
        line: usize,
    },
    /// A line without a newline that is not the last one.
    #[error("{path} would have a line without a newline in its middle")]
    NoNewline {
        /// The file.
        path: TreePath,
    },
    /// A deleted file with lines left.
    #[error("{path} is deleted by the patch, but lines of it are left")]
    NotEmptied {
        /// The file.
        path: TreePath,
    },
    /// The result is larger than a file may be.
    #[error("{path} would have more than {MAX_FILE_BYTES} bytes")]
    ResultTooLarge {
        /// The file.
        path: TreePath,
    },
}
