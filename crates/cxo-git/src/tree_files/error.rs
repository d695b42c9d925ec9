//! Why a file of a tree was not read or written: one closed enum, each with what a caller needs
//! to go on.

use std::path::PathBuf;

use cxo_protocol::{ContentSha, InvalidPath, TreePath};
use rustix::io::Errno;

/// What is where a regular file should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Folder => "folder",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::Device => "device",
        })
    }
}

/// Why a file of a tree was not read or written. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The text is no path inside a tree.
    #[error(transparent)]
    Path(#[from] InvalidPath),
    /// There is no such file.
    #[error("{path} is not there")]
    NotFound {
        /// The path as it was given.
        path: String,
    },
    /// It leads out of the tree: by `..`, by a symlink, or onto another mount.
    #[error("{path} leads out of the tree; only files below {} are reached", root.display())]
    Outside {
        /// The path as it was given.
        path: String,
        /// The root of the tree.
        root: PathBuf,
    },
    /// A part of it is a symlink, and files are opened through none.
    #[error("{path} is a symlink or lies behind one; name the file that it leads to")]
    Symlink {
        /// The path.
        path: TreePath,
    },
    /// Something other than a regular file is there.
    #[error("{path} is a {kind} and no regular file; it was not opened")]
    NotRegular {
        /// The path.
        path: TreePath,
        /// What is there.
        kind: FileKind,
    },
    /// A file is where a folder has to be.
    #[error("{path} needs a folder where there is a file")]
    NoFolder {
        /// The path.
        path: TreePath,
    },
    /// The file has another name, maybe outside of the tree, that a lock does not know.
    #[error(
        "{path} has {links} names (hard links) and only one would change; `mv` a copy over it first"
    )]
    HardLinked {
        /// The path.
        path: TreePath,
        /// How many names.
        links: u64,
    },
    /// More bytes than are read or written at once.
    #[error("{path} has {bytes} bytes, more than the {limit} that are read or written at once")]
    TooLarge {
        /// The path.
        path: TreePath,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is not what the caller has seen.
    #[error("{path} has changed: it is {}; read it again and edit that", shown(*current))]
    Conflict {
        /// The path.
        path: TreePath,
        /// What is there now; none if there is no file.
        current: Option<ContentSha>,
    },
    /// The folder of the file was moved or replaced while it was written; the file is as before.
    #[error("the folder of {path} was moved meanwhile; nothing was written")]
    FolderMoved {
        /// The path.
        path: TreePath,
    },
    /// One file twice among the edits.
    #[error("{path} is edited twice at once; put both edits into one")]
    Twice {
        /// The path.
        path: TreePath,
    },
    /// More edits at once than [`MAX_EDITS`](super::MAX_EDITS).
    #[error("{count} files at once, more than {limit}; split the edits")]
    TooMany {
        /// How many.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// The file system cannot exchange two files in one step (NFS and 9p cannot).
    #[error("the file system of {path} cannot exchange two files; keep the tree on a local disk")]
    NoExchange {
        /// The path.
        path: TreePath,
    },
    /// The disk or a quota is full.
    #[error("no space left for {path}; free some and write again")]
    DiskFull {
        /// The path as far as it is known.
        path: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, for instance `write`.
        action: &'static str,
        /// Where.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

impl FileError {
    /// For `map_err`: the action and the path beside the system's reason.
    pub(crate) fn io<E: Into<std::io::Error>>(
        action: &'static str,
        path: impl std::fmt::Display,
    ) -> impl FnOnce(E) -> Self {
        let path = path.to_string();
        move |source| {
            let source = source.into();
            let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
            if source.raw_os_error().is_some_and(|code| full.contains(&code)) {
                Self::DiskFull { path }
            } else {
                Self::Io { action, path, source }
            }
        }
    }
}

fn shown(current: Option<ContentSha>) -> String {
    current.map_or_else(|| "gone".to_owned(), |sha| sha.to_string())
}
