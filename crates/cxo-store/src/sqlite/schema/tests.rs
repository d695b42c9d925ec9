//! A migration keeps a copy first, and a failed one changes nothing.

use super::*;

fn made(path: &Path) -> Connection {
    let mut db = Connection::open(path).unwrap();
    create(&mut db, path).unwrap();
    db
}

/// The version behind the newest that this release knows.
const FUTURE: u32 = SCHEMA_VERSION + 1;

/// The versions of this release, then one more.
fn and_then(sql: &'static str) -> Vec<Migration> {
    let known = MIGRATIONS.iter().map(|_| Migration { sql: "SELECT 1", needs_cxo: "0.1.0" });
    known.chain([Migration { sql, needs_cxo: "0.2.0" }]).collect()
}

/// [G27] A migration puts a copy of the old version beside the database first.
#[test]
fn a_migration_keeps_a_copy_and_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut db = made(&path);
    migrate(&mut db, &path, &and_then("ALTER TABLE runs ADD COLUMN colour TEXT")).unwrap();
    let needs: String = db.query_row("SELECT needs_cxo FROM store", [], |r| r.get(0)).unwrap();
    assert_eq!(needs, "0.2.0");
    assert!(db.prepare("SELECT colour FROM runs").is_ok());
    // What was just made is from the future of this release.
    let refused = version(&db, &path);
    let Err(StoreError::FutureSchema { found: FUTURE, needs_cxo, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(needs_cxo, "0.2.0");
    let copy = format!("state.db.v{SCHEMA_VERSION}.backup");
    let copy = Connection::open(dir.path().join(copy)).unwrap();
    assert_eq!(version(&copy, &path).unwrap(), SCHEMA_VERSION);
}

/// A migration that fails leaves the old version.
#[test]
fn a_failed_migration_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut db = made(&path);
    let broken = and_then("CREATE TABLE x (a); SELECT nothing");
    assert!(migrate(&mut db, &path, &broken).is_err());
    assert_eq!(version(&db, &path).unwrap(), SCHEMA_VERSION);
    assert!(db.prepare("SELECT * FROM x").is_err());
}
