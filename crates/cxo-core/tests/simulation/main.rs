//! Seeded simulation of the core against a world of its own.
//!
//! `SIMULATION_SEEDS=from..to` runs other seeds than the usual ones. Seeds that once failed stand
//! in `seeds.txt` and are always run. What it was seen to find is told in `docs/simulation.md`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "all of it is test code, in functions that are not tests themselves"
)]

mod chance;
mod consent;
mod plans;
mod schedule;
mod witness;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cxo_protocol::RunId;

use consent::Consent;
use schedule::Schedule;

/// Schedules of an ordinary run, in four parts so that they share the processors.
const SEEDS: u64 = 2_400;

fn try_seed(seed: u64) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| Schedule::run(seed))) {
        println!("seed {seed} fails: add it to tests/simulation/seeds.txt");
        std::panic::resume_unwind(panic);
    }
}

fn try_part(part: u64) {
    let each = SEEDS / 4;
    for seed in part * each..(part + 1) * each {
        try_seed(seed);
    }
}

/// [G1] [G2] [G3] [G8] [G17] [G9] [C3] [C16] [N10]
#[test]
fn any_schedule_loses_nothing_and_lands_once_first_part() {
    try_part(0);
}

/// [G1] [G2] [G3] [G8] [G17] [G9] [C3] [C16] [N10]
#[test]
fn any_schedule_loses_nothing_and_lands_once_second_part() {
    try_part(1);
}

/// [G1] [G2] [G3] [G8] [G17] [G9] [C3] [C16] [N10]
#[test]
fn any_schedule_loses_nothing_and_lands_once_third_part() {
    try_part(2);
}

/// [G1] [G2] [G3] [G8] [G17] [G9] [C3] [C16] [N10]
#[test]
fn any_schedule_loses_nothing_and_lands_once_fourth_part() {
    try_part(3);
}

/// Schedules that once failed.
#[test]
fn seeds_that_failed_do_not_fail_again() {
    for line in include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#')) {
        let seed = line.split_whitespace().next().unwrap();
        try_seed(seed.parse().unwrap());
    }
}

/// Seeds of a long run, by hand: `SIMULATION_SEEDS=100000..200000`.
#[test]
fn seeds_that_were_asked_for() {
    let Some(range) = std::env::var_os("SIMULATION_SEEDS") else { return };
    let range = range.into_string().unwrap();
    let (from, to) = range.split_once("..").expect("from..to");
    let seeds = from.parse::<u64>().unwrap()..to.parse().unwrap();
    let failed: Vec<u64> =
        seeds.filter(|seed| catch_unwind(AssertUnwindSafe(|| try_seed(*seed))).is_err()).collect();
    assert_eq!(failed, Vec::<u64>::new());
}

/// A simulation that never gets anywhere proves nothing: the schedules meet every event there is.
#[test]
fn the_schedules_meet_every_event() {
    let met: BTreeSet<&'static str> =
        (0..300).flat_map(Schedule::run).map(|stamped| stamped.event.kind()).collect();
    assert_eq!(met.len(), 37, "{met:?}");
}

/// [G10] [G22] What something executes later landed, in some schedules, and each time by a yes to
/// exactly that work and to all of these files: the witness saw to it.
#[test]
fn the_schedules_land_what_runs_later_only_by_a_yes() {
    let (mut landed, mut asked_again) = (0, 0);
    for seed in 0..300 {
        let mut runs: BTreeMap<RunId, Consent> = BTreeMap::new();
        for stamped in Schedule::run(seed) {
            runs.entry(stamped.run.clone()).or_default().see(&stamped.event);
        }
        landed += runs.values().map(|run| run.landed).sum::<u64>();
        asked_again += runs.values().map(|run| run.asked_again).sum::<u64>();
    }
    assert!(landed >= 20, "{landed} landings prove little");
    assert!(asked_again >= 5, "{asked_again} works that brought more than was shown prove little");
}

/// [N10] The same seed twice gives the same log.
#[test]
fn a_seed_says_everything() {
    for seed in (0..SEEDS).step_by(48) {
        assert_eq!(Schedule::run(seed), Schedule::run(seed), "seed {seed}");
    }
}
