//! Seeded simulation of the work graph: random commands of people and sessions, against books of their
//! own, and what an event costs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "all of it is test code, in functions that are not tests themselves"
)]

mod books;
#[path = "../simulation/chance.rs"]
mod chance;
mod cost;
mod schedule;

use schedule::{MEETINGS, Schedule};

/// Schedules in an ordinary run.
const SEEDS: u64 = 24;

/// [B2.1] [B2.4] [B2.5] [B3.2] No schedule of commands makes a cycle, a status that is not that of the
/// children, a claim with two holders, a fence that was given before, or a case that was taken before
/// its turn; and the log alone gives the same state.
#[test]
fn no_schedule_breaks_the_graph() {
    for seed in 0..SEEDS {
        Schedule::run(seed);
    }
}

/// A simulation that never gets anywhere proves nothing: everything that can happen happens.
#[test]
fn the_schedules_meet_everything() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        met.extend(Schedule::run(seed).met);
    }
    let missing: Vec<&str> = MEETINGS.into_iter().filter(|m| !met.contains(m)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The same seed twice gives the same log.
#[test]
fn a_seed_says_everything() {
    assert_eq!(Schedule::run(7).log, Schedule::run(7).log);
}
