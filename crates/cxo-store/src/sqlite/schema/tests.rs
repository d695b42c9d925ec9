//! A migration keeps a copy first, and a failed one changes nothing.

use super::*;

fn made(path: &Path) -> Connection {
    let mut db = Connection::open(path).unwrap();
    create(&mut db, path).unwrap();
    db
}

const NEXT: &[Migration] = &[
    Migration { sql: "SELECT 1", needs_cxo: "0.1.0" },
    Migration { sql: "ALTER TABLE runs ADD COLUMN colour TEXT", needs_cxo: "0.2.0" },
];

/// [G27] A migration puts a copy of the old version beside the database first.
#[test]
fn a_migration_keeps_a_copy_and_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut db = made(&path);
    migrate(&mut db, &path, NEXT).unwrap();
    let needs: String = db.query_row("SELECT needs_cxo FROM store", [], |r| r.get(0)).unwrap();
    assert_eq!(needs, "0.2.0");
    assert!(db.prepare("SELECT colour FROM runs").is_ok());
    // This release knows version 1 only: what was just made is from its future.
    let refused = version(&db, &path);
    let Err(StoreError::FutureSchema { found: 2, needs_cxo, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(needs_cxo, "0.2.0");
    let copy = Connection::open(dir.path().join("state.db.v1.backup")).unwrap();
    assert_eq!(version(&copy, &path).unwrap(), 1);
}

/// A migration that fails leaves the old version.
#[test]
fn a_failed_migration_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut db = made(&path);
    let broken = Migration { sql: "CREATE TABLE x (a); SELECT nothing", needs_cxo: "0.2.0" };
    let list = [Migration { sql: "", needs_cxo: "" }, broken];
    assert!(migrate(&mut db, &path, &list).is_err());
    assert_eq!(version(&db, &path).unwrap(), 1);
    assert!(db.prepare("SELECT * FROM x").is_err());
}
