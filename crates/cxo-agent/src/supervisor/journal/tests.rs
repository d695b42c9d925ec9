//! What was written is found again; damage costs only what it hit.

use super::*;
use crate::supervisor::wire::Cause;

fn effect(n: u64) -> EffectId {
    EffectId::new(&format!("r1.t{n}.a1")).unwrap()
}

fn exit(n: u64) -> Exit {
    Exit {
        effect: effect(n),
        code: Some(0),
        signal: None,
        cause: Cause::Itself,
        started_at: Timestamp(1),
        ended_at: Timestamp(2),
        cpu_ms: 0,
        max_rss_kb: 0,
    }
}

/// [G2] What was written is what the next one reads.
#[test]
fn starts_and_ends_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path).unwrap();
    for n in 1..=3 {
        journal.add(Entry::Intent { effect: effect(n), at: Timestamp(n) });
    }
    journal.add(Entry::Started { effect: effect(2), pid: 7, start_ticks: 8, at: Timestamp(9) });
    journal.add(Entry::Exited(exit(3)));
    journal.write().unwrap();
    journal.add(Entry::Intent { effect: effect(4), at: Timestamp(4) });
    drop(journal);

    let again = Journal::open(&path).unwrap();
    let open: Vec<_> = again.memory().open.iter().map(|(e, b)| (e.clone(), b.process)).collect();
    assert_eq!(open, [(effect(1), None), (effect(2), Some((7, 8)))]);
    assert_eq!(again.memory().ended.keys().collect::<Vec<_>>(), [&effect(3)]);
}

/// [G28] Half a line and a damaged line take nothing else with them.
#[test]
fn damage_is_contained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path).unwrap();
    journal.add(Entry::Exited(exit(1)));
    journal.write().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"\xff\xfe{]\n{\"exited\":{\"effect\":");
    std::fs::write(&path, bytes).unwrap();

    let mut journal = Journal::open(&path).unwrap();
    journal.add(Entry::Exited(exit(2)));
    journal.write().unwrap();
    let again = Journal::open(&path).unwrap();
    assert_eq!(again.memory().ended.keys().collect::<Vec<_>>(), [&effect(1), &effect(2)]);
}

#[test]
fn a_long_journal_is_written_anew_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let mut journal = Journal::open(&path).unwrap();
    journal.add(Entry::Started { effect: effect(0), pid: 7, start_ticks: 8, at: Timestamp(9) });
    for n in 1..=10_000 {
        journal.add(Entry::Exited(exit(n)));
        if n > 5 {
            journal.add(Entry::Forgot { effect: effect(n) });
        }
        journal.write().unwrap();
    }
    assert!(std::fs::metadata(&path).unwrap().len() <= COMPACT_ABOVE_BYTES + 1024);
    let again = Journal::open(&path).unwrap();
    assert_eq!(again.memory(), journal.memory());
    assert_eq!(again.memory().ended.len(), 5);
    assert_eq!(again.memory().open.len(), 1);
}
