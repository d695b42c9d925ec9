//! SQLite's result codes under the names of this crate.
//!
//! It must not know which statement failed; the caller says what it was doing.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::StoreError;

/// With less than this left a failed write is taken for a full disk: it is the least that SQLite
/// asks for at once (the index of the write-ahead log grows by 32 KiB).
const LEAST_FREE_BYTES: u64 = 64 * 1024;

/// Names an error of SQLite.
pub(crate) fn named(doing: &'static str, path: &Path, source: rusqlite::Error) -> StoreError {
    let path_buf = path.to_owned();
    let rusqlite::Error::SqliteFailure(failure, _) = &source else {
        return StoreError::Sqlite { doing, path: path_buf, source };
    };
    let extended = failure.extended_code;
    if failure.code == ErrorCode::DiskFull || (is_write_failure(extended) && is_full(path)) {
        return StoreError::Full { path: path_buf };
    }
    if is_cut_short(extended) || failure.code == ErrorCode::DatabaseCorrupt {
        return StoreError::Damaged { path: path_buf, what: source.to_string() };
    }
    if failure.code == ErrorCode::CannotOpen && !may_write(path) {
        return StoreError::ReadOnly { path: path_buf };
    }
    if matches!(failure.code, ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) {
        StoreError::Busy { path: path_buf, holder: None }
    } else if matches!(failure.code, ErrorCode::ReadOnly | ErrorCode::PermissionDenied) {
        StoreError::ReadOnly { path: path_buf }
    } else if failure.code == ErrorCode::NotADatabase {
        StoreError::NotADatabase { path: path_buf }
    } else {
        StoreError::Sqlite { doing, path: path_buf, source }
    }
}

fn is_write_failure(extended: i32) -> bool {
    matches!(
        extended,
        ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_DIR_FSYNC
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_SHMSIZE
            | ffi::SQLITE_IOERR_SHMMAP
            | ffi::SQLITE_IOERR_SHMOPEN
            | ffi::SQLITE_CANTOPEN
    )
}

/// A page that the header counts and the file does not have.
fn is_cut_short(extended: i32) -> bool {
    matches!(extended, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS)
}

#[cfg(unix)]
fn is_full(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    rustix::fs::statvfs(directory)
        .is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < LEAST_FREE_BYTES)
}

/// Whether files can be made beside the database: the write-ahead log has to be.
#[cfg(unix)]
fn may_write(path: &Path) -> bool {
    rustix::fs::access(path.parent().unwrap_or(path), rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(_: &Path) -> bool {
    true
}

#[cfg(not(unix))]
fn is_full(_: &Path) -> bool {
    false
}

/// Runs one statement's worth of work under one description.
pub(crate) trait Named<T> {
    fn named(self, doing: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> Named<T> for Result<T, rusqlite::Error> {
    fn named(self, doing: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| named(doing, path, source))
    }
}
