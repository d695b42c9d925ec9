//! One process at a time: a file beside the database that its owner holds locked.
//!
//! The kernel drops the lock with the process, however that ends, so it is never stale. While it is
//! owned the file holds the owner's process id and the last event that was acknowledged; it is
//! emptied when the owner leaves in order. So a new owner knows when the last one was killed, and
//! up to where the log must reach: SQLite takes a write-ahead log that was cut short for an append
//! that never finished. The number is not flushed: after a power cut it may be lower, never higher.
//!
//! The database file itself is never opened here: closing it would drop SQLite's own locks of this
//! process. It must not know what is in the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Seq, StoreError};

/// A process id has at most ten digits and a number twenty; whatever else is there is not read.
const MAX_OWNER_BYTES: u64 = 40;

/// The right to open a database for writing.
#[derive(Debug)]
pub(crate) struct Owner {
    file: File,
    created: Option<PathBuf>,
    signed: bool,
    /// What the owner before left, if it did not leave in order: the last event it acknowledged.
    pub(crate) died: Option<Seq>,
}

impl Owner {
    /// Takes the ownership or says who has it.
    pub(crate) fn take(database: &Path) -> Result<Self, StoreError> {
        let path = beside(database, "-owner");
        let io = |doing, source: std::io::Error| named(doing, database, source);
        let existed = path.exists();
        let mut file = open(&path).map_err(|source| io("open the owner file beside", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = content(&mut file).and_then(|text| text.lines().next()?.parse().ok());
                return Err(StoreError::Busy { path: database.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(io("lock", source)),
        }
        let left = content(&mut file).filter(|text| !text.trim().is_empty());
        let died = left.map(|text| {
            let acknowledged = text.lines().nth(1).and_then(|line| line.parse().ok());
            Seq(acknowledged.unwrap_or_default())
        });
        Ok(Self { file, created: (!existed).then_some(path), signed: false, died })
    }

    /// Writes this process's id into the file: from here on the database may change.
    pub(crate) fn sign(&mut self, database: &Path, last: Seq) -> Result<(), StoreError> {
        self.created = None;
        self.signed = true;
        self.rewrite(&mark(last))
            .map_err(|source| named("write the owner file beside", database, source))
    }

    /// Notes the last event that is about to be acknowledged. The number never gets shorter, so one
    /// write replaces the earlier one.
    pub(crate) fn acknowledge(&mut self, last: Seq) {
        // A failure leaves a lower number, which only makes the next owner notice less.
        let _ = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(mark(last).as_bytes()));
    }

    fn rewrite(&mut self, text: &str) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(text.as_bytes())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        match &self.created {
            // A refused open leaves nothing behind.
            Some(path) => drop(std::fs::remove_file(path)),
            // The database is closed by now. A failure here only makes the next owner check more
            // than it needs to.
            None if self.signed => drop(self.rewrite("")),
            None => {}
        }
    }
}

fn mark(last: Seq) -> String {
    format!("{}\n{last}\n", std::process::id())
}

/// `path` with `suffix` added to its file name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn content(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(MAX_OWNER_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

/// Names an error of the file system.
pub(crate) fn named(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    use std::io::ErrorKind;
    let path = path.to_owned();
    if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) {
        StoreError::ReadOnly { path }
    } else if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        StoreError::Full { path }
    } else {
        StoreError::Io { doing, path, source }
    }
}
