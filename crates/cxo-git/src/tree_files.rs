//! The files of one tree (a checkout or a workspace), read and written as a caller asks: confined to
//! the tree, whole or not at all, and only over the content that the caller has seen.
//!
//! ```text
//! let files = TreeFiles::open(root, journal)?;   // one per tree; `recover` once, before the first write
//! let path = files.resolve("src//lib.rs")?;      // symlinks and `..` gone: what locks are taken on
//! let seen = files.read(&path)?;                 // bytes, sha, whether it is executable
//! files.write(&path, bytes, Preimage::Is(seen.sha))?;      // the new sha, or a conflict with the current one
//! files.apply(&edits)?;                          // several files, all of them or none
//! ```
//!
//! How a write is whole: the content goes into a file beside the target and onto the disk, a
//! journal outside of the tree names what is half-done, the two files change places in one step, and what came
//! out is compared with what was expected. Only then the folder is synced and the write
//! acknowledged. A file is replaced and not written into: its mode is kept, and a file that has
//! more names (hard links) is refused, because only one of them would change.
//!
//! It knows no locks, sessions or callers, and runs no git.

mod beneath;
mod error;
mod guards;
mod journal;
mod resolve;
mod swap;

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cxo_protocol::{Case, ContentSha, TreePath};
use rustix::fs::{AtFlags, OFlags};

pub use beneath::digest;
pub use error::{FileError, FileKind};

/// The most bytes of one file: sources are smaller, and an answer has to fit a frame.
pub const MAX_FILE_BYTES: u64 = 16 << 20;
/// The most files that are changed at once; each is kept twice until all are done.
pub const MAX_EDITS: usize = 2_000;

/// The files of one tree.
#[derive(Debug)]
pub struct TreeFiles {
    root: OwnedFd,
    path: PathBuf,
    journal: PathBuf,
    case: Case,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Their digest, to be given back with a write.
    pub sha: ContentSha,
    /// Whether it may be run.
    pub mode: Mode,
}

/// What a caller knows of a file before changing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preimage {
    /// There is no such file.
    Absent,
    /// It has this content.
    Is(ContentSha),
    /// Nothing: the caller holds the file's lock and takes what is there.
    Any,
}

/// The two modes that git knows of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `100644`.
    Plain,
    /// `100755`.
    Executable,
}

/// What a file is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewContent {
    /// These bytes; without a mode the file keeps its own, and a new one is plain.
    Bytes {
        /// The content.
        bytes: Vec<u8>,
        /// The mode that it shall have.
        mode: Option<Mode>,
    },
    /// Gone.
    Gone,
}

/// One change to one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The file.
    pub path: TreePath,
    /// What it has to be for the change to happen.
    pub expected: Preimage,
    /// What it becomes.
    pub new: NewContent,
}

impl TreeFiles {
    /// Opens the tree at `root`. `journal` is a directory outside of it that only we write, for this
    /// tree alone; it is made if it is missing.
    pub fn open(root: &Path, journal: &Path) -> Result<Self, FileError> {
        let path = fs::canonicalize(root).map_err(FileError::io("open", root.display()))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&path, flags, rustix::fs::Mode::empty())
            .map_err(FileError::io("open", path.display()))?;
        fs::create_dir_all(journal).map_err(FileError::io("make", journal.display()))?;
        let case = case_of(&root);
        Ok(Self { root, path, journal: journal.to_owned(), case })
    }

    /// Ends what a process that died had begun: a single write is taken back, and several at once are
    /// brought to their end if all of them were ready. To be called once, before the first write.
    pub fn recover(&self) -> Result<(), FileError> {
        self.recover_journal()
    }

    /// The root, without symlinks.
    pub fn root(&self) -> &Path {
        &self.path
    }

    /// Whether the directory that was opened is still what stands at its path. As long as it is open,
    /// no other gets its number.
    pub fn is_in_place(&self) -> bool {
        let held = rustix::fs::fstat(&self.root);
        let there = rustix::fs::stat(&self.path);
        let number = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
        held.map(number).is_ok_and(|held| there.map(number).is_ok_and(|there| there == held))
    }

    /// Whether the tree takes `A` and `a` for one file; so for a tree that does not let it be seen.
    pub fn case(&self) -> Case {
        self.case
    }

    /// The one path of the file that `text` leads to, with symlinks and `..` followed as the kernel
    /// would. A file that is not there yet has a path as well.
    pub fn resolve(&self, text: &str) -> Result<TreePath, FileError> {
        self.follow(text)
    }

    /// Reads a regular file.
    pub fn read(&self, path: &TreePath) -> Result<FileContent, FileError> {
        let seen = self.look(path)?;
        let seen = seen.ok_or_else(|| FileError::NotFound { path: path.to_string() })?;
        Ok(FileContent { mode: Mode::of(seen.mode), bytes: seen.bytes, sha: seen.sha })
    }

    /// Writes a file, or makes it with the folders above it, and answers its new digest.
    pub fn write(
        &self,
        path: &TreePath,
        bytes: &[u8],
        expected: Preimage,
    ) -> Result<ContentSha, FileError> {
        let new = NewContent::Bytes { bytes: bytes.to_vec(), mode: None };
        self.apply(&[FileEdit { path: path.clone(), expected, new }])?;
        Ok(digest(bytes))
    }

    /// Deletes a file.
    pub fn delete(&self, path: &TreePath, expected: Preimage) -> Result<(), FileError> {
        self.apply(&[FileEdit { path: path.clone(), expected, new: NewContent::Gone }])
    }

    /// Changes several files, all of them or none: a failure on the way takes back what was done,
    /// and what a killed process had begun is ended by [`TreeFiles::recover`].
    pub fn apply(&self, edits: &[FileEdit]) -> Result<(), FileError> {
        self.swap_all(edits)
    }
}

impl Mode {
    fn of(mode: rustix::fs::Mode) -> Self {
        if mode.contains(rustix::fs::Mode::XUSR) { Self::Executable } else { Self::Plain }
    }
}

fn case_of(root: &OwnedFd) -> Case {
    let look = |name: &str| rustix::fs::statat(root, name, AtFlags::SYMLINK_NOFOLLOW);
    match (look(".git"), look(".GIT")) {
        (Ok(lower), Ok(upper)) if lower.st_ino == upper.st_ino => Case::Folded,
        (Ok(_), _) => Case::Distinct,
        (Err(_), _) => Case::Folded,
    }
}
