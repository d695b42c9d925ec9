//! Opening what lies beneath a folder: the kernel itself refuses every way out, whatever is swapped
//! while it looks (`openat2`, Linux 5.6 and newer).
//!
//! It knows names and descriptors; what is done with them stands in the modules beside it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};

use cxo_protocol::{ContentSha, TreePath};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use super::error::{FileError, FileKind};
use super::{MAX_FILE_BYTES, TreeFiles};

/// A regular file that was read to its end.
pub(super) struct Seen {
    pub(super) bytes: Vec<u8>,
    pub(super) sha: ContentSha,
    pub(super) mode: Mode,
}

/// An open folder of a tree, and the file in it that is meant.
pub(super) struct Place<'a> {
    pub(super) folder: OwnedFd,
    pub(super) name: &'a str,
}

/// Device and inode: whether two descriptors are of one thing.
pub(super) fn identity(fd: impl AsFd) -> Result<(u64, u64), FileError> {
    let stat = rustix::fs::fstat(fd).map_err(FileError::io("look at", "a folder"))?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The digest that callers know a content by.
pub fn digest(bytes: &[u8]) -> ContentSha {
    ContentSha::from_bytes(Sha256::digest(bytes).into())
}

impl TreeFiles {
    /// Opens `path` below the root to read it, through no symlink and onto no other mount. Not
    /// blocking, so that a FIFO stops nobody.
    pub(super) fn open_beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.find_beneath(path, flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    /// Finds `path` below the root in the same way; a symlink at its end is found itself.
    pub(super) fn point_beneath(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.find_beneath(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn find_beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS
            | ResolveFlags::NO_XDEV;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The folder of a file, or none if it does not exist.
    pub(super) fn find_place<'a>(
        &self,
        path: &'a TreePath,
    ) -> Result<Option<Place<'a>>, FileError> {
        let (folder, name) = path.split();
        match self.open_beneath(folder.unwrap_or("."), OFlags::DIRECTORY) {
            Ok(folder) => Ok(Some(Place { folder, name })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.explain(error, path)),
        }
    }

    /// The folder of a file, made with all above it where they are missing, and durable. What was
    /// made is told.
    pub(super) fn make_place<'a>(
        &self,
        path: &'a TreePath,
        made: &mut Vec<String>,
    ) -> Result<Place<'a>, FileError> {
        if let Some(place) = self.find_place(path)? {
            return Ok(place);
        }
        let (folder, _) = path.split();
        let folder = folder.unwrap_or(".");
        let ends = folder.match_indices('/').map(|(at, _)| at).chain([folder.len()]);
        for end in ends {
            let (above, name) = folder[..end].rsplit_once('/').unwrap_or((".", &folder[..end]));
            let above = self
                .open_beneath(above, OFlags::DIRECTORY)
                .map_err(|error| self.explain(error, path))?;
            match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => {
                    made.push(folder[..end].to_owned());
                    rustix::fs::fsync(&above).map_err(FileError::io("sync the folder of", path))?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(FileError::io("make the folder of", path)(error)),
            }
        }
        self.find_place(path)?.ok_or_else(|| FileError::FolderMoved { path: path.clone() })
    }

    /// Removes folders that were made for nothing, if nobody has put anything into them.
    pub(super) fn remove_folders(&self, made: &[String]) {
        for folder in made.iter().rev() {
            let (above, name) = folder.rsplit_once('/').unwrap_or((".", folder));
            if let Ok(above) = self.open_beneath(above, OFlags::DIRECTORY) {
                let _not_empty = rustix::fs::unlinkat(&above, name, AtFlags::REMOVEDIR);
            }
        }
    }

    /// Turns a refusal of the kernel into its name.
    pub(super) fn explain(&self, error: Errno, path: &TreePath) -> FileError {
        match error {
            Errno::NOENT => FileError::NotFound { path: path.to_string() },
            Errno::LOOP => FileError::Symlink { path: path.clone() },
            Errno::NOTDIR => FileError::NoFolder { path: path.clone() },
            Errno::XDEV => FileError::Outside { path: path.to_string(), root: self.path.clone() },
            // A socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => {
                FileError::NotRegular { path: path.clone(), kind: FileKind::Socket }
            }
            other => FileError::io("open", path)(other),
        }
    }

    /// Reads the file, or answers none if there is none. Everything but a regular file with one
    /// name is refused.
    pub(super) fn look(&self, path: &TreePath) -> Result<Option<Seen>, FileError> {
        match self.open_beneath(path.as_str(), OFlags::empty()) {
            Ok(file) => read_regular(file, path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.explain(error, path)),
        }
    }
}

impl Place<'_> {
    /// Reads a file of this folder under another name; none if there is none.
    pub(super) fn look(&self, name: &str, path: &TreePath) -> Result<Option<Seen>, FileError> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => read_regular(file, path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP) => Err(FileError::Symlink { path: path.clone() }),
            Err(error) => Err(FileError::io("open", path)(error)),
        }
    }

    /// Removes a file of ours in this folder; it is no error if it is gone.
    pub(super) fn remove(&self, name: &str, path: &TreePath) -> Result<(), FileError> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(FileError::io("remove what was written beside", path)(error)),
        }
    }
}

fn read_regular(file: OwnedFd, path: &TreePath) -> Result<Seen, FileError> {
    let stat = rustix::fs::fstat(&file).map_err(FileError::io("look at", path))?;
    check_regular(&stat, path)?;
    let mut bytes = Vec::new();
    // One byte more than the limit shows a file that grew since.
    File::from(file)
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    check_size(bytes.len() as u64, path)?;
    Ok(Seen { sha: digest(&bytes), bytes, mode: Mode::from_raw_mode(stat.st_mode) })
}

pub(super) fn check_size(bytes: u64, path: &TreePath) -> Result<(), FileError> {
    if bytes > MAX_FILE_BYTES {
        return Err(FileError::TooLarge { path: path.clone(), bytes, limit: MAX_FILE_BYTES });
    }
    Ok(())
}

fn check_regular(stat: &Stat, path: &TreePath) -> Result<(), FileError> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let links = stat.st_nlink;
            if links > 1 {
                return Err(FileError::HardLinked { path: path.clone(), links });
            }
            return check_size(stat.st_size.unsigned_abs(), path);
        }
        FileType::Symlink => return Err(FileError::Symlink { path: path.clone() }),
        FileType::Directory => FileKind::Folder,
        FileType::Fifo => FileKind::Fifo,
        FileType::Socket => FileKind::Socket,
        FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => FileKind::Device,
    };
    Err(FileError::NotRegular { path: path.clone(), kind })
}
