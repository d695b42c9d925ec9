//! [G27] Databases of every released version are opened and read.

use std::path::{Path, PathBuf};

use cxo_store::{Batch, Reader, SCHEMA_VERSION, Seq, SqliteStore, Store, Stream};
use rusqlite::Connection;

use crate::make::*;

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/state-v{version}.db"))
}

fn content() -> Batch {
    Batch {
        events: vec![event("r1", "{\"type\":\"a\"}"), event("", "{\"type\":\"b\"}")],
        rows: every_row("r1", Some(NOW.0 + 5)),
        answers: vec![answer("k1", NOW.0 + 86_400_000)],
    }
}

fn schema(path: &Path) -> Vec<String> {
    let db = Connection::open(path).unwrap();
    let mut statement =
        db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Also notices an edited migration: the old database would differ from a new one.
#[test]
fn every_old_version_is_opened_and_read() {
    for version in 1..=SCHEMA_VERSION {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        std::fs::copy(fixture(version), &path).unwrap();
        let mut store = SqliteStore::open(&path).unwrap();
        let bodies: Vec<_> = store.read(&Stream::All, Seq(0), 9).unwrap();
        let bodies: Vec<_> = bodies.iter().map(|event| event.body.as_str()).collect();
        assert_eq!(bodies, ["{\"type\":\"a\"}", "{\"type\":\"b\"}"]);
        let r1 = run_id("r1");
        assert_eq!(store.run(&r1).unwrap(), Some(run_row("r1", NOW.0, Some(NOW.0 + 5))));
        assert_eq!(store.tasks(&r1).unwrap(), [task_row("r1", "t1", 0)]);
        assert_eq!(store.landings(&r1).unwrap(), [landing_row("r1", 1)]);
        assert_eq!(store.remembered_answers(NOW).unwrap(), content().answers);
        let lease = store.acquire_lease("test", NOW).unwrap();
        assert_eq!(lease.epoch(), 2);
        store.append(&lease, Seq(2), &content()).unwrap();
        drop(store);
        let fresh = dir.path().join("fresh.db");
        drop(SqliteStore::open(&fresh).unwrap());
        assert_eq!(schema(&path), schema(&fresh), "version {version} does not lead to today's");
    }
}

#[test]
#[ignore = "writes the fixture of a new schema version, once"]
fn write_fixture() {
    let path = fixture(SCHEMA_VERSION);
    assert!(!path.exists(), "the fixture of a released version is never written again");
    let mut store = SqliteStore::open(&path).unwrap();
    let lease = store.acquire_lease("fixture", NOW).unwrap();
    store.append(&lease, Seq(0), &content()).unwrap();
    drop(store);
    std::fs::remove_file(path.with_file_name(format!("state-v{SCHEMA_VERSION}.db-owner"))).unwrap();
}
