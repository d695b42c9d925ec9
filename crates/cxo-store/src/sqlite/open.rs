//! Opening: every refusal happens here, before anything is changed.
//!
//! It must not know what is in the tables beyond the schema's version.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::failure::Named;
use super::head::Head;
use super::owner::{self, Owner, beside};
use super::schema::{self, MIGRATIONS};
use crate::{Seq, StoreError};

/// How long a call waits for somebody who writes with a SQL shell before it is refused as busy.
/// Longer would hold up every client, and the group can be tried again.
const BUSY_FOR: Duration = Duration::from_secs(2);

/// The largest database that is checked page by page after its owner was killed. At a few hundred
/// megabytes a second this keeps a restart well below two seconds; in a larger one damage is found
/// when it is read, by SQLite's checks and the events' own checksums.
const MAX_CHECKED_BYTES: u64 = 64 << 20;

/// Statements that are kept prepared: those of an append, of the reads and of each projection.
const STATEMENTS: usize = 64;

/// Pages in the write-ahead log before it is moved into the database: SQLite's default, said here
/// because it matters. With 4000 the log file kept growing, and on ext4 a group took eight times as
/// long as with 1000, where the file is soon only overwritten.
const CHECKPOINT_PAGES: u32 = 1000;

/// Opens the database of a store for writing, making it when there is none.
pub(crate) fn for_writing(path: &Path) -> Result<(Connection, Owner), StoreError> {
    refuse_network(path)?;
    let mut owner = Owner::take(path)?;
    if is_new(path)? {
        create(path)?;
        owner.died = None;
    } else {
        inspect(path)?;
        keep_private(path)?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags).named("open", path)?;
    if db.is_readonly("main").named("open", path)? {
        return Err(StoreError::ReadOnly { path: path.to_owned() });
    }
    db.busy_timeout(BUSY_FOR).named("open", path)?;
    schema::version(&db, path)?;
    if owner.died.is_some() && size(path) <= MAX_CHECKED_BYTES {
        check_pages(&db, path)?;
    }
    // A file system that cannot be written to is noticed here, not by the first client.
    db.execute_batch("BEGIN IMMEDIATE; ROLLBACK").named("lock", path)?;
    settle(&db, path)?;
    schema::migrate(&mut db, path, MIGRATIONS)?;
    let last = check_end(&db, path, owner.died)?;
    owner.sign(path, last)?;
    Ok((db, owner))
}

/// Opens the database of a store for reading only.
pub(crate) fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    refuse_network(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).named("open", path)?;
    db.busy_timeout(BUSY_FOR).named("open", path)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    schema::version(&db, path)?;
    Ok(db)
}

fn settle(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let set = |name, value: &str| db.pragma_update(None, name, value).named("set up", path);
    let mode: String = db
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .named("set up", path)?;
    if mode != "wal" {
        let file_system = "a file system without shared memory";
        return Err(StoreError::UnsupportedFileSystem { path: path.to_owned(), file_system });
    }
    // Anything less loses acknowledged events when the power goes.
    set("synchronous", "FULL")?;
    // On macOS only this reaches the disk.
    set("fullfsync", "ON")?;
    set("wal_autocheckpoint", &CHECKPOINT_PAGES.to_string())?;
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Whether there is no database yet. A file of no bytes is none of ours: new ones are renamed into
/// place when they are complete.
fn is_new(path: &Path) -> Result<bool, StoreError> {
    let damaged = |what: &str| StoreError::Damaged { path: path.to_owned(), what: what.to_owned() };
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => Err(damaged("it is not an ordinary file")),
        Ok(meta) if meta.len() == 0 => Err(damaged("the file is empty")),
        Ok(_) => Ok(false),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
            if size(&beside(path, "-wal")) > 0 {
                return Err(damaged("the database is gone, only its write-ahead log is there"));
            }
            Ok(true)
        }
        Err(source) => Err(owner::named("look at", path, source)),
    }
}

/// Makes a complete database under another name and renames it into place, so that a crash leaves
/// either none or a whole one.
fn create(path: &Path) -> Result<(), StoreError> {
    let draft = beside(path, "-draft");
    let result = fill(&draft, path);
    if result.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    result
}

fn fill(draft: &Path, path: &Path) -> Result<(), StoreError> {
    let io = |doing, result: std::io::Result<()>| {
        result.map_err(|source| owner::named(doing, path, source))
    };
    for left_over in [draft.to_owned(), beside(draft, "-journal")] {
        if left_over.exists() {
            io("replace a left-over draft of", std::fs::remove_file(left_over))?;
        }
    }
    io("create", private_file(draft))?;
    let mut db = Connection::open(draft).named("create", path)?;
    db.pragma_update(None, "synchronous", "FULL").named("create", path)?;
    schema::create(&mut db, path)?;
    db.close().map_err(|(_, source)| source).named("create", path)?;
    io("create", std::fs::rename(draft, path))?;
    io("create", flush_directory(path))
}

fn private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// The rename is durable only when the directory is.
fn flush_directory(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    if let Some(directory) = path.parent() {
        std::fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// The state holds prompts and agents' words: nobody else may read it. SQLite gives the files beside
/// it the mode of the database, so this comes before it makes them.
fn keep_private(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).map(|meta| meta.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
                .map_err(|source| owner::named("protect", path, source))?;
        }
    }
    Ok(())
}

/// Looks at the header without locks, journals or any trace, so that another program's database is
/// not even touched. What cannot be told without the write-ahead log is left to the real open.
fn inspect(path: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(immutable_uri(path), flags).named("open", path)?;
    match schema::version(&db, path) {
        Ok(_) | Err(StoreError::Damaged { .. }) => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push_str("?immutable=1");
    uri
}

fn check_pages(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let said: String =
        db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).named("check", path)?;
    if said == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged { path: path.to_owned(), what: said })
    }
}

/// The end of the log is written in one place and follows from others: they have to agree, or a
/// number would be given twice. `acknowledged` is what a killed owner left.
fn check_end(db: &Connection, path: &Path, acknowledged: Option<Seq>) -> Result<Seq, StoreError> {
    let last = Head::read(db, path)?.last;
    let sql = "SELECT coalesce(max(seq), 0) FROM events";
    let newest: i64 =
        db.query_row(sql, [], |row| row.get(0)).named("read the end of the log in", path)?;
    let what = if newest.unsigned_abs() > last.0 {
        format!("the log should end at event {last} and there is an event {newest}")
    } else if let Some(acknowledged) = acknowledged.filter(|acknowledged| *acknowledged > last) {
        format!(
            "the log ends at event {last}, and event {acknowledged} had been acknowledged \
             (to go on with what is left, remove the file whose name ends in -owner)"
        )
    } else {
        return Ok(last);
    };
    Err(StoreError::Damaged { path: path.to_owned(), what })
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

#[cfg(target_os = "linux")]
fn refuse_network(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let found = rustix::fs::statfs(directory)
        .map_err(|errno| owner::named("look at the directory of", path, errno.into()))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the numbers have 32 bits; some platforms show them signed"
    )]
    refuse_magic(path, found.f_type as u32)
}

#[cfg(not(target_os = "linux"))]
fn refuse_network(_: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// The numbers of `statfs(2)` for file systems whose locks or shared memory other hosts do not see.
#[cfg(target_os = "linux")]
fn refuse_magic(path: &Path, magic: u32) -> Result<(), StoreError> {
    let file_system = match magic {
        0x0000_6969 => "NFS",
        0x0000_517b | 0xff53_4d42 | 0xfe53_4d42 => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x00c3_6400 => "Ceph",
        0x0bd0_0bd0 => "Lustre",
        0x0102_1997 => "9P",
        _ => return Ok(()),
    };
    Err(StoreError::UnsupportedFileSystem { path: path.to_owned(), file_system })
}

#[cfg(test)]
mod tests;
