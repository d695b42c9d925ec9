//! Files that something else has changed: what is read is what was written, or it is an error.

use std::path::Path;

use cxo_store::{
    Answer, Batch, Reader, Seq, SqliteReader, SqliteStore, Store, StoreError, StoredEvent, Stream,
};
use rusqlite::Connection;

use crate::make::*;

/// Places that are damaged in one test.
const PLACES: usize = 1000;

type Everything = (Seq, Vec<StoredEvent>, Vec<StoredEvent>, Vec<StoredEvent>, Vec<Answer>);

fn everything(reader: &dyn Reader) -> Result<Everything, StoreError> {
    Ok((
        reader.last_seq()?,
        reader.read(&of("r1"), Seq(0), 1000)?,
        reader.read(&of("r2"), Seq(0), 1000)?,
        reader.read(&Stream::Repository, Seq(0), 1000)?,
        reader.remembered_answers(NOW)?,
    ))
}

fn made(path: &Path) -> Everything {
    let mut store = SqliteStore::open(path).unwrap();
    let lease = store.acquire_lease("test", NOW).unwrap();
    let mut last = Seq(0);
    for n in 0..60 {
        let group = Batch {
            answers: vec![answer(&format!("k{n}"), NOW.0 + 1)],
            ..events(["r1", "r2", ""].map(|run| event(run, &format!("{{\"n\":{n}}}"))).to_vec())
        };
        last = store.append(&lease, last, &group).unwrap();
    }
    everything(&store).unwrap()
}

/// Reads a damaged copy. `true`: an error said so; `false`: everything is as it was.
fn is_noticed(dir: &Path, bytes: &[u8], expected: &Everything) -> bool {
    let path = dir.join("copy.db");
    for left in ["copy.db-wal", "copy.db-shm"] {
        std::fs::remove_file(dir.join(left)).ok();
    }
    std::fs::write(&path, bytes).unwrap();
    let read = SqliteReader::open(&path).and_then(|reader| everything(&reader));
    match read {
        Err(_) => true,
        Ok(read) => {
            assert_eq!(read.0, expected.0);
            assert!(read == *expected, "damage was passed on silently");
            false
        }
    }
}

/// [G28] A flipped bit is noticed when it is read, or it changed nothing that is read.
#[test]
fn flipped_bits_are_never_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let expected = made(&path);
    let whole = std::fs::read(&path).unwrap();
    let mut noticed = 0;
    // A fixed stride that has no divisor in common with the file visits it evenly.
    for n in 0..PLACES {
        let bit = n * 7919 * 8 + n % 8;
        let place = (bit / 8) % whole.len();
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (n % 8);
        noticed += usize::from(is_noticed(dir.path(), &bytes, &expected));
    }
    assert!(noticed > PLACES / 20, "only {noticed} were noticed: the test hit nothing");
}

/// [G28] A file that is cut short anywhere is refused.
#[test]
fn a_truncated_file_is_never_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let expected = made(&path);
    let whole = std::fs::read(&path).unwrap();
    for n in 0..PLACES {
        let length = (n * whole.len()) / PLACES;
        assert!(is_noticed(dir.path(), &whole[..length], &expected), "cut to {length}");
    }
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = SqliteStore::open(&path).map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

/// [G28] The damaged event is named, and other runs stay readable.
#[test]
fn a_changed_body_is_named_and_contained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state.db");
    let expected = made(&path);
    let shell = Connection::open(&path).unwrap();
    for change in ["body = body || ' '", "kind = 'x'", "at = at + 1", "position = 1", "run = 'r1'"]
    {
        shell
            .execute_batch(&format!("BEGIN; UPDATE events SET {change} WHERE seq = 5; COMMIT"))
            .unwrap();
        let reader = SqliteReader::open(&path).unwrap();
        let error = reader.read(&Stream::All, Seq(0), 1000).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { seq: Seq(5) }), "{change}: {error:?}");
        assert_eq!(reader.read(&Stream::Repository, Seq(0), 1000).unwrap(), expected.3);
        let good = &expected.2[1];
        shell
            .execute(
                "UPDATE events SET body = ?1, kind = ?2, at = ?3, position = 2, run = 'r2'
                 WHERE seq = 5",
                (&good.body, &good.kind, i64::try_from(good.ts.0).unwrap()),
            )
            .unwrap();
    }
    assert_eq!(everything(&SqliteReader::open(&path).unwrap()).unwrap(), expected);
}

/// [G28] An event that is gone is missed, at the start, in the middle and at the end.
#[test]
fn a_missing_event_is_missed() {
    for (seq, position) in [(1, 1), (58, 20), (178, 60)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        made(&path);
        let shell = Connection::open(&path).unwrap();
        shell.execute("DELETE FROM events WHERE seq = ?1", [seq]).unwrap();
        let reader = SqliteReader::open(&path).unwrap();
        for limit in [7, 1000] {
            let mut after = Seq(0);
            let error = loop {
                match reader.read(&of("r1"), after, limit) {
                    Ok(page) => after = page.last().expect("an error before the end").seq,
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(&error, StoreError::Missing { position: p, .. } if *p == position),
                "{error:?}"
            );
        }
    }
}
