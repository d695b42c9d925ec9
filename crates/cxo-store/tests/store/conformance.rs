//! One suite, every store.

macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(
                #[test]
                fn $case() {
                    crate::suite::$case(&mut cxo_store::MemoryStore::new());
                }
            )+
        }
        mod sqlite {
            $(
                #[test]
                fn $case() {
                    let dir = tempfile::tempdir().unwrap();
                    let path = dir.path().join("state.db");
                    crate::suite::$case(&mut cxo_store::SqliteStore::open(&path).unwrap());
                }
            )+
        }
    };
}

conformance![
    events_come_back,
    an_old_state_conflicts,
    an_old_lease_is_refused,
    bad_groups_are_refused,
    rows_come_back,
    runs_are_listed,
    a_run_is_forgotten,
    answers_are_remembered,
    projections_are_replaced,
    readers_are_independent,
];
