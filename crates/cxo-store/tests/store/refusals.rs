//! What is refused, by which name, and that a refusal leaves no trace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cxo_store::{Reader, Seq, SqliteReader, SqliteStore, Store, StoreError, Stream};
use rusqlite::Connection;

use crate::make::*;

fn room() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    (dir, path)
}

fn made(path: &Path) {
    let mut store = SqliteStore::open(path).unwrap();
    let lease = store.acquire_lease("test", NOW).unwrap();
    store.append(&lease, Seq(0), &events(vec![event("r1", "1"), event("r1", "2")])).unwrap();
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default())).collect()
}

/// Opens and expects a refusal that changes no byte and leaves no file.
fn refused(path: &Path) -> StoreError {
    let dir = path.parent().unwrap();
    let before = contents(dir);
    let error = SqliteStore::open(path).map(drop).unwrap_err();
    assert_eq!(before, contents(dir), "{error} left a trace");
    error
}

#[test]
fn a_second_owner_is_busy_and_told_who_has_it() {
    let (_dir, path) = room();
    made(&path);
    let first = SqliteStore::open(&path).unwrap();
    let error = SqliteStore::open(&path).map(drop).unwrap_err();
    let StoreError::Busy { holder, .. } = error else { panic!("{error:?}") };
    assert_eq!(holder, Some(std::process::id()));
    // Reading is open to everybody all the while.
    let reader = SqliteReader::open(&path).unwrap();
    assert_eq!(reader.read(&Stream::All, Seq(0), 9).unwrap().len(), 2);
    drop(first);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_sql_shell_that_writes_makes_an_append_busy_and_nothing_more() {
    let (_dir, path) = room();
    let mut store = SqliteStore::open(&path).unwrap();
    let lease = store.acquire_lease("test", NOW).unwrap();
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let group = events(vec![event("r1", "1")]);
    let error = store.append(&lease, Seq(0), &group).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    shell.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.append(&lease, Seq(0), &group).unwrap(), Seq(1));
}

#[test]
fn what_is_not_a_state_database_is_refused_untouched() {
    let (_dir, path) = room();
    std::fs::write(&path, "# notes\n".repeat(500)).unwrap();
    assert!(matches!(refused(&path), StoreError::NotADatabase { .. }));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
    std::fs::remove_file(&path).unwrap();
    for mode in ["delete", "wal"] {
        let other = Connection::open(&path).unwrap();
        other.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(())).unwrap();
        other.execute_batch("CREATE TABLE theirs (a); PRAGMA application_id = 7").unwrap();
        drop(other);
        assert!(matches!(refused(&path), StoreError::NotOurs { found: 7, .. }));
        std::fs::remove_file(&path).unwrap();
    }
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
}

/// Opening another program's database for real would move its write-ahead log into it.
#[test]
fn another_programs_unfinished_log_is_left_alone() {
    let (dir, _) = room();
    let (_copy, path) = room();
    let other = Connection::open(dir.path().join("theirs.db")).unwrap();
    other.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    other.execute_batch("PRAGMA application_id = 7; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    for suffix in ["", "-wal"] {
        let from = dir.path().join(format!("theirs.db{suffix}"));
        std::fs::copy(from, path.with_file_name(format!("state.db{suffix}"))).unwrap();
    }
    assert!(matches!(refused(&path), StoreError::NotOurs { found: 7, .. }));
}

#[test]
fn a_log_without_its_database_is_not_taken_for_a_new_one() {
    let (dir, path) = room();
    std::fs::write(dir.path().join("state.db-wal"), "something").unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let (dir, _) = room();
    let error = SqliteStore::open(&dir.path().join("gone/state.db")).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
}

/// [G27] A newer schema is refused with its version and the release that is needed.
#[test]
fn a_future_schema_is_refused_with_the_release_that_is_needed() {
    let (_dir, path) = room();
    made(&path);
    let shell = Connection::open(&path).unwrap();
    shell.execute_batch("UPDATE store SET needs_cxo = '9.8.7'; PRAGMA user_version = 99").unwrap();
    drop(shell);
    let error = refused(&path);
    let text = error.to_string();
    assert!(matches!(error, StoreError::FutureSchema { found: 99, .. }), "{error:?}");
    assert!(text.contains("version 99") && text.contains("cxo 9.8.7"), "{text}");
    assert!(matches!(SqliteReader::open(&path), Err(StoreError::FutureSchema { .. })));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_state() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, path) = room();
    made(&path);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = SqliteStore::open(&path).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.path());
    }
}

/// A read-only file and a read-only directory, met by somebody who is not root.
#[cfg(unix)]
#[test]
fn a_state_that_cannot_be_written_is_refused_as_read_only() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let (dir, path) = room();
    made(&path);
    let root = rustix::process::geteuid().is_root();
    let program = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    if root {
        chown(dir.path(), Some(NOBODY), None).unwrap();
        for file in contents(dir.path()).keys() {
            chown(file, Some(NOBODY), None).unwrap();
        }
    }
    allow(&path, 0o400);
    assert!(opened_by_nobody(&program, &path, root).starts_with("ReadOnly"));
    allow(&path, 0o600);
    allow(dir.path(), 0o500);
    assert!(opened_by_nobody(&program, &path, root).starts_with("ReadOnly"));
    std::fs::remove_file(dir.path().join("state.db-owner")).ok();
    assert!(opened_by_nobody(&program, &path, root).starts_with("ReadOnly"));
    allow(dir.path(), 0o700);
    assert_eq!(opened_by_nobody(&program, &path, root), "opened");
}

#[cfg(unix)]
const NOBODY: u32 = 65534;

#[cfg(unix)]
fn opened_by_nobody(program: &Path, path: &Path, root: bool) -> String {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new(program);
    command.args(["--exact", "refusals::child_opens", "--ignored", "--nocapture"]);
    command.env("CXO_TEST_STATE", path).current_dir("/");
    if root {
        command.uid(NOBODY);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().find_map(|line| line.split_once("said: "));
    said.map(|(_, said)| said.to_owned()).unwrap_or(text)
}

#[test]
#[ignore = "run by a test that is its parent"]
fn child_opens() {
    let path = std::env::var_os("CXO_TEST_STATE").unwrap();
    match SqliteStore::open(Path::new(&path)) {
        Ok(_) => println!("said: opened"),
        Err(error) => println!("said: {error:?}"),
    }
}
