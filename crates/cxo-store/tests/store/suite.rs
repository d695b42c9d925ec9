//! What every store has to do, as functions over any of them.

use cxo_protocol::Timestamp;
use cxo_protocol::rows::Row;
use cxo_store::{
    Batch, Lease, MAX_BATCH_EVENTS, MAX_BODY_BYTES, NewEvent, RunFilter, Seq, Store, StoreError,
    StoredEvent, Stream,
};

use crate::make::*;

/// The whole log, read in pages of an odd size.
pub(crate) fn whole(store: &(impl Store + ?Sized), stream: &Stream) -> Vec<StoredEvent> {
    let mut all: Vec<StoredEvent> = Vec::new();
    loop {
        let after = all.last().map_or(Seq(0), |event| event.seq);
        let page = store.read(stream, after, 7).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

pub(crate) fn bodies(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|event| event.body.as_str()).collect()
}

fn leased(store: &mut dyn Store) -> Lease {
    store.acquire_lease("daemon 1", NOW).unwrap()
}

/// What was appended comes back, in order, in each stream.
pub(crate) fn events_come_back(store: &mut dyn Store) {
    let lease = leased(store);
    assert_eq!(store.last_seq().unwrap(), Seq(0));
    assert_eq!(whole(store, &Stream::All), []);
    let group = events(vec![event("", "1"), event("r1", "2\u{0}é"), event("r2", "3")]);
    assert_eq!(store.append(&lease, Seq(0), &group).unwrap(), Seq(3));
    let group = events(vec![event("r1", "4"), event("", "5")]);
    assert_eq!(store.append(&lease, Seq(3), &group).unwrap(), Seq(5));
    assert_eq!(bodies(&whole(store, &Stream::All)), ["1", "2\u{0}é", "3", "4", "5"]);
    assert_eq!(bodies(&whole(store, &of("r1"))), ["2\u{0}é", "4"]);
    assert_eq!(bodies(&whole(store, &Stream::Repository)), ["1", "5"]);
    assert_eq!(whole(store, &of("r9")), []);
    let second = &store.read(&Stream::All, Seq(1), 1).unwrap()[0];
    let expected = StoredEvent {
        seq: Seq(2),
        stream: of("r1"),
        ts: NOW,
        kind: "task_started".into(),
        body: "2\u{0}é".into(),
    };
    assert_eq!(second, &expected);
    assert_eq!(store.read(&of("r1"), Seq(2), 10).unwrap().len(), 1);
    assert_eq!(store.read(&of("r1"), Seq(4), 10).unwrap(), []);
    assert_eq!(store.read(&of("r1"), Seq(u64::MAX), 10).unwrap(), []);
    assert_eq!(store.read(&of("r1"), Seq(0), 0).unwrap(), []);
    assert_eq!(store.last_seq().unwrap(), Seq(5));
}

/// A group that was decided on an old state is refused as a whole.
pub(crate) fn an_old_state_conflicts(store: &mut dyn Store) {
    let lease = leased(store);
    store.append(&lease, Seq(0), &events(vec![event("r1", "1")])).unwrap();
    for wrong in [0, 2, u64::MAX >> 1] {
        let mut group = events(vec![event("r1", "x"), event("r2", "y")]);
        group.rows = every_row("r1", None);
        group.answers = vec![answer("k", NOW.0 + 1)];
        let refused = store.append(&lease, Seq(wrong), &group);
        let named = matches!(refused, Err(StoreError::Conflict { after, last: Seq(1) }) if after == Seq(wrong));
        let too_far = matches!(refused, Err(StoreError::OutOfRange { .. })) && wrong > 2;
        assert!(named || too_far, "{refused:?}");
    }
    assert_eq!(bodies(&whole(store, &Stream::All)), ["1"]);
    assert_eq!(store.run(&run_id("r1")).unwrap(), None);
    assert_eq!(store.remembered_answers(NOW).unwrap(), []);
}

/// [G29] A lease that somebody else took since is refused by every writing call.
pub(crate) fn an_old_lease_is_refused(store: &mut dyn Store) {
    let old = leased(store);
    store.append(&old, Seq(0), &rows(every_row("r1", Some(NOW.0)))).unwrap();
    let new = store.acquire_lease("daemon 2", NOW).unwrap();
    assert!(new.epoch() > old.epoch());
    let lost = |error: StoreError| {
        let StoreError::LeaseLost { epoch, current, holder } = error else {
            panic!("{error:?}");
        };
        assert_eq!((epoch, current, &*holder), (old.epoch(), new.epoch(), "daemon 2"));
    };
    lost(store.append(&old, Seq(0), &events(vec![event("r1", "1")])).unwrap_err());
    lost(store.append(&old, Seq(9), &Batch::default()).unwrap_err());
    lost(store.forget(&old, &run_id("r1")).unwrap_err());
    lost(store.forget_answers(&old, NOW).unwrap_err());
    lost(store.replace_projections(&old, &[]).unwrap_err());
    assert!(store.run(&run_id("r1")).unwrap().is_some());
    assert_eq!(store.append(&new, Seq(0), &events(vec![event("r1", "1")])).unwrap(), Seq(1));
}

/// Bad input gets its name and has no effect.
pub(crate) fn bad_groups_are_refused(store: &mut dyn Store) {
    let lease = leased(store);
    let group = |bad: NewEvent| events(vec![event("r1", "good"), bad]);
    let mut no_stream = event("r1", "x");
    no_stream.stream = Stream::All;
    let mut no_kind = event("r1", "x");
    no_kind.kind.clear();
    let mut long_kind = event("r1", "x");
    long_kind.kind = "k".repeat(65);
    let mut late = event("r1", "x");
    late.ts = Timestamp(u64::MAX);
    let large = event("r1", &"x".repeat(MAX_BODY_BYTES + 1));
    let mut wide = usage_row("r1", "t1", 1);
    wide.input_tokens = u64::MAX;
    let mut far = answer("k", u64::MAX);
    far.answer = "{}".into();
    let bad_rows = Batch { events: vec![event("r1", "x")], ..rows(vec![Row::Usage(wide.clone())]) };
    let bad_answer = Batch { answers: vec![far], ..events(vec![event("r1", "x")]) };
    let many = events(vec![event("r1", "x"); MAX_BATCH_EVENTS + 1]);
    let mut try_it = |group: &Batch| store.append(&lease, Seq(0), group).unwrap_err();
    assert!(matches!(try_it(&group(no_stream)), StoreError::NoStream { index: 1 }));
    assert!(matches!(try_it(&group(no_kind)), StoreError::BadKind { index: 1, bytes: 0 }));
    assert!(matches!(try_it(&group(long_kind)), StoreError::BadKind { index: 1, bytes: 65 }));
    assert!(matches!(try_it(&group(late)), StoreError::OutOfRange { column: "events.at", .. }));
    assert!(matches!(try_it(&group(large)), StoreError::TooLarge { .. }));
    assert!(matches!(
        try_it(&bad_rows),
        StoreError::OutOfRange { column: "usage.input_tokens", value: u64::MAX }
    ));
    assert!(matches!(try_it(&bad_answer), StoreError::OutOfRange { .. }));
    assert!(matches!(try_it(&many), StoreError::TooManyEvents { .. }));
    let refused = store.replace_projections(&lease, &[Row::Usage(wide)]);
    assert!(matches!(refused, Err(StoreError::OutOfRange { .. })));
    assert_eq!(whole(store, &Stream::All), []);
    assert_eq!(store.last_seq().unwrap(), Seq(0));
}

/// Rows come back as they went in; the same key replaces.
pub(crate) fn rows_come_back(store: &mut dyn Store) {
    let lease = leased(store);
    let r1 = run_id("r1");
    store.append(&lease, Seq(0), &rows(every_row("r1", None))).unwrap();
    store.append(&lease, Seq(0), &rows(every_row("r2", None))).unwrap();
    assert_eq!(store.run(&r1).unwrap(), Some(run_row("r1", NOW.0, None)));
    assert_eq!(store.tasks(&r1).unwrap(), [task_row("r1", "t1", 0)]);
    assert_eq!(store.attempts(&r1).unwrap(), [attempt_row("r1", "t1", 1)]);
    assert_eq!(store.usage(&r1).unwrap(), [usage_row("r1", "t1", 1)]);
    assert_eq!(store.questions(&r1).unwrap(), [question_row("r1", 1)]);
    assert_eq!(store.landings(&r1).unwrap(), [landing_row("r1", 1)]);
    let mut changed = task_row("r1", "t1", 5);
    changed.agent = Some("other".into());
    changed.commit_id = None;
    let first = task_row("r1", "t10", 0);
    let more = vec![Row::Task(changed.clone()), Row::Task(first.clone())];
    store.append(&lease, Seq(0), &rows(more)).unwrap();
    assert_eq!(store.tasks(&r1).unwrap(), [first, changed]);
}

/// Runs are listed newest first; open ones by themselves.
pub(crate) fn runs_are_listed(store: &mut dyn Store) {
    let lease = leased(store);
    let list = [("r1", 10, None), ("r2", 30, Some(40)), ("r3", 20, None), ("r4", 20, Some(20))];
    let list = list.map(|(run, from, to)| Row::Run(run_row(run, from, to)));
    store.append(&lease, Seq(0), &rows(list.to_vec())).unwrap();
    let ids = |filter| {
        let runs = store.runs(filter).unwrap();
        runs.iter().map(|row| row.run.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(RunFilter::Open), ["r3", "r1"]);
    assert_eq!(ids(RunFilter::Newest { limit: 3 }), ["r2", "r4", "r3"]);
    assert_eq!(ids(RunFilter::Newest { limit: usize::MAX }), ["r2", "r4", "r3", "r1"]);
    assert_eq!(ids(RunFilter::Newest { limit: 0 }).len(), 0);
}

/// A finished run can be forgotten; numbers are not given again.
pub(crate) fn a_run_is_forgotten(store: &mut dyn Store) {
    let lease = leased(store);
    let group = events(vec![event("r1", "1"), event("r2", "2"), event("", "3"), event("r1", "4")]);
    let last = store.append(&lease, Seq(0), &group).unwrap();
    store.append(&lease, last, &rows(every_row("r1", None))).unwrap();
    store.append(&lease, last, &rows(every_row("r2", None))).unwrap();
    let open = store.forget(&lease, &run_id("r1"));
    assert!(matches!(open, Err(StoreError::RunOpen { run }) if run == run_id("r1")));
    let unknown = store.forget(&lease, &run_id("r9"));
    assert!(matches!(unknown, Err(StoreError::UnknownRun { run }) if run == run_id("r9")));
    assert_eq!(whole(store, &Stream::All).len(), 4);
    store.append(&lease, last, &rows(every_row("r1", Some(NOW.0)))).unwrap();
    let forgotten = store.forget(&lease, &run_id("r1")).unwrap();
    assert_eq!(forgotten.events, 2);
    assert_eq!(forgotten.logs, ["jobs/r1/attempts/t1.a1/stdout.log"]);
    assert_eq!(bodies(&whole(store, &Stream::All)), ["2", "3"]);
    assert_eq!(whole(store, &of("r1")), []);
    let r1 = run_id("r1");
    assert!(store.run(&r1).unwrap().is_none() && store.tasks(&r1).unwrap().is_empty());
    assert!(store.landings(&r1).unwrap().is_empty() && store.questions(&r1).unwrap().is_empty());
    assert_eq!(store.tasks(&run_id("r2")).unwrap().len(), 1);
    assert_eq!(store.append(&lease, Seq(4), &events(vec![event("r2", "5")])).unwrap(), Seq(5));
}

/// [G20] Answers are remembered until they expire; the same key replaces.
pub(crate) fn answers_are_remembered(store: &mut dyn Store) {
    let lease = leased(store);
    let keys = ["b", "a", "c"].map(|key| answer(key, NOW.0 + 10)).to_vec();
    let group = Batch { answers: keys, ..Batch::default() };
    store.append(&lease, Seq(0), &group).unwrap();
    let longer = answer("c", NOW.0 + 20);
    let group = Batch { answers: vec![longer.clone()], ..Batch::default() };
    store.append(&lease, Seq(0), &group).unwrap();
    let valid = |at| store.remembered_answers(Timestamp(at)).unwrap();
    assert_eq!(valid(NOW.0), [answer("a", NOW.0 + 10), answer("b", NOW.0 + 10), longer.clone()]);
    assert_eq!(valid(NOW.0 + 9).len(), 3);
    assert_eq!(valid(NOW.0 + 10), std::slice::from_ref(&longer));
    assert_eq!(store.forget_answers(&lease, Timestamp(NOW.0 + 10)).unwrap(), 2);
    assert_eq!(store.remembered_answers(NOW).unwrap(), [longer]);
}

/// The projections can be computed anew; the log stays.
pub(crate) fn projections_are_replaced(store: &mut dyn Store) {
    let lease = leased(store);
    let group = Batch { rows: every_row("r1", None), ..events(vec![event("r1", "1")]) };
    store.append(&lease, Seq(0), &group).unwrap();
    store.replace_projections(&lease, &every_row("r2", None)).unwrap();
    assert_eq!(store.run(&run_id("r1")).unwrap(), None);
    assert_eq!(store.attempts(&run_id("r1")).unwrap(), []);
    assert_eq!(store.attempts(&run_id("r2")).unwrap(), [attempt_row("r2", "t1", 1)]);
    assert_eq!(bodies(&whole(store, &Stream::All)), ["1"]);
}

/// A reader in another thread sees what was committed, and only whole groups.
pub(crate) fn readers_are_independent(store: &mut dyn Store) {
    let lease = leased(store);
    let reader = store.reader().unwrap();
    let (tell, told) = std::sync::mpsc::channel::<u64>();
    let thread = std::thread::spawn(move || {
        told.iter()
            .map(|upto| {
                let seen = reader.read(&Stream::All, Seq(0), 1000).unwrap().len() as u64;
                assert!(seen >= upto && seen.is_multiple_of(2), "{seen} of {upto}");
                assert!(reader.last_seq().unwrap() >= Seq(upto));
                seen
            })
            .last()
    });
    let mut last = Seq(0);
    for _ in 0..20 {
        let pair = events(vec![event("r1", "a"), event("r2", "b")]);
        last = store.append(&lease, last, &pair).unwrap();
        tell.send(last.0).unwrap();
    }
    drop(tell);
    assert_eq!(thread.join().unwrap(), Some(40));
}
