//! Random histories on the memory store and on SQLite give equal answers and equal reads.

use cxo_protocol::Timestamp;
use cxo_protocol::rows::Row;
use cxo_store::{
    Batch, Lease, MemoryStore, RunFilter, Seq, SqliteStore, Store, StoreError, Stream,
};
use proptest::prelude::*;

use crate::make::*;

const RUNS: [&str; 4] = ["", "r1", "r2", "r10"];

#[derive(Debug, Clone)]
enum Step {
    Append { group: Batch, behind: u64, old_lease: u8 },
    Lease,
    Forget { run: usize },
    ForgetAnswers { at: u64 },
    Replace { rows: Vec<Row> },
}

fn a_row() -> impl Strategy<Value = Row> {
    (1..4_usize, 0..6_u8, 0..3_u64, any::<bool>()).prop_map(|(run, kind, n, ended)| {
        let run = RUNS[run];
        let task = format!("t{n}");
        match kind {
            0 => Row::Run(run_row(run, 100 + n, ended.then_some(500))),
            1 => Row::Task(task_row(run, &task, 2 - n)),
            2 => Row::Attempt(attempt_row(run, &task, n + 9)),
            3 => Row::Usage(usage_row(run, &task, n + 9)),
            4 => Row::Question(question_row(run, n)),
            _ => Row::Landing(landing_row(run, n)),
        }
    })
}

fn a_group() -> impl Strategy<Value = Batch> {
    let an_event = (0..4_usize, ".{0,20}").prop_map(|(run, body)| event(RUNS[run], &body));
    let an_answer = (0..5_u8, 0..100_u64).prop_map(|(key, at)| answer(&key.to_string(), at));
    (
        prop::collection::vec(an_event, 0..5),
        prop::collection::vec(a_row(), 0..4),
        prop::collection::vec(an_answer, 0..3),
    )
        .prop_map(|(events, rows, answers)| Batch { events, rows, answers })
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (a_group(), prop_oneof![9 => Just(0), 1 => 1..3_u64], 0..8_u8)
            .prop_map(|(group, behind, old_lease)| Step::Append { group, behind, old_lease }),
        1 => Just(Step::Lease),
        2 => (0..3_usize).prop_map(|run| Step::Forget { run }),
        1 => (0..100_u64).prop_map(|at| Step::ForgetAnswers { at }),
        1 => prop::collection::vec(a_row(), 0..6).prop_map(|rows| Step::Replace { rows }),
    ]
}

/// The answer to a step, in a form that can be compared; errors by their message.
fn answered<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    result.map_or_else(|error| format!("refused: {error}"), |value| format!("{value:?}"))
}

fn take(store: &mut dyn Store, leases: &mut Vec<Lease>, step: &Step) -> String {
    let newest = leases.len() - 1;
    match step {
        Step::Append { group, behind, old_lease } => {
            let lease = if *old_lease == 0 { &leases[0] } else { &leases[newest] };
            let after = Seq(store.last_seq().unwrap().0.saturating_sub(*behind));
            answered(store.append(lease, after, group))
        }
        Step::Lease => {
            leases.push(store.acquire_lease(&format!("d{newest}"), NOW).unwrap());
            String::new()
        }
        Step::Forget { run } => answered(store.forget(&leases[newest], &run_id(RUNS[run + 1]))),
        Step::ForgetAnswers { at } => {
            answered(store.forget_answers(&leases[newest], Timestamp(*at)))
        }
        Step::Replace { rows } => answered(store.replace_projections(&leases[newest], rows)),
    }
}

fn seen(store: &dyn Store) -> String {
    let mut parts = vec![format!("{:?}", store.last_seq().unwrap())];
    let streams = RUNS.iter().map(|run| of(run)).chain([Stream::All]);
    for (n, stream) in streams.enumerate() {
        parts.push(format!("{:#?}", store.read(&stream, Seq(n as u64), 50).unwrap()));
    }
    parts.push(format!("{:?}", store.runs(RunFilter::Open).unwrap()));
    parts.push(format!("{:?}", store.runs(RunFilter::Newest { limit: 2 }).unwrap()));
    parts.push(format!("{:?}", store.remembered_answers(Timestamp(50)).unwrap()));
    for run in &RUNS[1..] {
        let run = run_id(run);
        parts.push(format!("{:?}{:?}", store.run(&run).unwrap(), store.tasks(&run).unwrap()));
        parts.push(format!("{:?}{:?}", store.attempts(&run).unwrap(), store.usage(&run).unwrap()));
        parts.push(format!(
            "{:?}{:?}",
            store.questions(&run).unwrap(),
            store.landings(&run).unwrap()
        ));
    }
    parts.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// [S4] Memory and SQLite answer alike, step by step, and hold the same at the end.
    #[test]
    fn stores_agree(steps in prop::collection::vec(a_step(), 1..20)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        let mut memory = MemoryStore::new();
        let mut sqlite = SqliteStore::open(&path).unwrap();
        let mut memory_leases = vec![memory.acquire_lease("d", NOW).unwrap()];
        let mut sqlite_leases = vec![sqlite.acquire_lease("d", NOW).unwrap()];
        for step in &steps {
            let ours = take(&mut memory, &mut memory_leases, step);
            let theirs = take(&mut sqlite, &mut sqlite_leases, step);
            prop_assert_eq!(ours, theirs, "after {:?}", step);
            prop_assert_eq!(seen(&memory), seen(&sqlite), "after {:?}", step);
        }
        drop(sqlite);
        let reopened = SqliteStore::open(&path).unwrap();
        prop_assert_eq!(seen(&memory), seen(&reopened));
    }
}
