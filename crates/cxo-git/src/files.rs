//! Files of our own in the state directory: written whole or not at all, made durable, listed
//! and removed without following symlinks.
//!
//! It knows no git; the layouts are in the modules that use it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::GitError;

/// An opening that waits for nobody.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
/// A file that says where something is.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// Writes a file so that after a crash it has either its old content or all of the new.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = parent.join(name);
    let mut file = File::create(&beside).map_err(GitError::io("create", &beside))?;
    file.write_all(bytes).map_err(GitError::io("write", &beside))?;
    file.sync_all().map_err(GitError::io("write", &beside))?;
    fs::rename(&beside, path).map_err(GitError::io("rename to", path))?;
    sync_directory(parent)
}

/// Writes a file that may be lost in a crash.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    fs::write(path, bytes).map_err(GitError::io("write", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), GitError> {
    let opened = File::open(path).and_then(|directory| directory.sync_all());
    opened.map_err(GitError::io("sync", path))
}

/// Reads a regular file that others can write to, and that is no longer than `limit`. What they put there
/// instead (a FIFO, a device) is an error and does not block.
pub(crate) fn read_plain(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(NONBLOCK).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > limit {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a short file that others can write to.
pub(crate) fn read_line(path: &Path) -> std::io::Result<String> {
    let text = String::from_utf8(read_plain(path, MAX_LINE_BYTES)?);
    text.map_err(|_| std::io::ErrorKind::InvalidData.into())
}

/// Makes a directory and its parents.
pub(crate) fn make_directory(path: &Path) -> Result<(), GitError> {
    fs::create_dir_all(path).map_err(GitError::io("create", path))
}

/// Removes a directory and what is in it, read-only directories included; symlinks in it are
/// removed and not followed. It is no error if it is not there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), GitError> {
    let removed = fs::remove_dir_all(path);
    let Err(error) = removed else { return Ok(()) };
    if error.kind() == std::io::ErrorKind::NotFound && fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    if error.kind() == std::io::ErrorKind::NotADirectory {
        return fs::remove_file(path).map_err(GitError::io("remove", path));
    }
    unlock_directories(path);
    fs::remove_dir_all(path).map_err(GitError::io("remove", path))
}

/// Gives the owner all rights on every directory below, so that their entries can be removed.
fn unlock_directories(root: &Path) {
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(meta) = fs::symlink_metadata(&directory) else { continue };
        if !meta.is_dir() {
            continue;
        }
        // What cannot be unlocked shows when it cannot be removed.
        drop(fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)));
        open.extend(
            fs::read_dir(&directory).into_iter().flatten().flatten().map(|entry| entry.path()),
        );
    }
}

/// Every file below `root` (symlinks not followed) for which `wanted` holds.
pub(crate) fn find_files(root: &Path, wanted: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                Ok(_) | Err(_) => {
                    if wanted(&path) {
                        found.push(path);
                    }
                }
            }
        }
    }
    found
}
