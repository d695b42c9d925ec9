//! A group is written whole or not at all.

use super::*;
use crate::Stream;

fn group(bytes: usize) -> Batch {
    let event = |stream, body| NewEvent { stream, ts: Timestamp(1), kind: "k".into(), body };
    let small = event(Stream::Repository, "small".to_owned());
    Batch { events: vec![small, event(Stream::Repository, "x".repeat(bytes))], ..Batch::default() }
}

/// [G16] When the file cannot grow the group is refused as a whole, by name; the store stays usable
/// and takes the same group once there is room.
#[test]
fn a_full_disk_refuses_the_group_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let lease = store.acquire_lease("test", Timestamp(1)).unwrap();
    let mut last = store.append(&lease, Seq(0), &group(10)).unwrap();
    let pages: i64 = store.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.db.pragma_update_and_check(None, "max_page_count", pages + 2, |_| Ok(())).unwrap();
    for bytes in (20_000..200_000).step_by(10_000) {
        let refused = store.append(&lease, last, &group(bytes));
        assert!(matches!(refused, Err(StoreError::Full { .. })), "{refused:?}");
        assert_eq!(store.last_seq().unwrap(), last);
        assert_eq!(store.read(&Stream::All, Seq(0), 100).unwrap().len() as u64, last.0);
        last = store.append(&lease, last, &Batch::default()).unwrap();
    }
    store.db.pragma_update_and_check(None, "max_page_count", 1_000_000, |_| Ok(())).unwrap();
    last = store.append(&lease, last, &group(100_000)).unwrap();
    assert_eq!(store.read(&Stream::Repository, Seq(0), 100).unwrap().len() as u64, last.0);
}
