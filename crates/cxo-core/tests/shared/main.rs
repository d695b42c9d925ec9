//! Seeded simulation of what callers share, against worlds of their own that keep their own books.
//!
//! Time that is given to the core never goes back: steps of the wall clock between commands are the
//! daemon's affair, and not simulated here.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "all of it is test code, in functions that are not tests themselves"
)]

mod callers;
#[path = "../simulation/chance.rs"]
mod chance;
mod daemon;
mod history;
mod tasks;

use callers::{Callers, MIXED, STOPPING};
use cxo_protocol::shared::TokenLimits;
use tasks::{Tally, Tasks};

/// Schedules in which everything is done now and then.
const MIXED_SEEDS: u64 = 16;

/// Locks whose holder stopped for longer than the lease, and came back to write under it.
const PAUSES: u64 = 10_000;

/// [G11] [G17] [B4.1] No schedule of callers has two holders, an early or late end of a lease, or a
/// write by who holds it no more.
#[test]
fn no_schedule_has_two_holders_or_a_stale_write() {
    for seed in 0..MIXED_SEEDS {
        Callers::run(seed, MIXED);
    }
}

/// [G11] [G17] [B4.1] Ten thousand times a holder comes back late, and nothing stale is written.
#[test]
fn ten_thousand_paused_holders_write_nothing_stale() {
    let (mut pauses, mut seed) = (0, 0);
    while pauses < PAUSES {
        let callers = Callers::run(seed, STOPPING);
        assert!(callers.pauses > 0, "nobody paused in seed {seed}");
        pauses += callers.pauses;
        seed += 1;
    }
}

/// A simulation that never gets anywhere proves nothing: everything that can happen happens.
#[test]
fn the_callers_meet_everything() {
    let met = Callers::run(1, MIXED).met;
    let missing: Vec<&str> = callers::MEETINGS.into_iter().filter(|m| !met.contains(m)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The same seed twice gives the same log.
#[test]
fn a_seed_says_everything() {
    assert_eq!(Callers::run(7, MIXED).log, Callers::run(7, MIXED).log);
}

fn limits(total: u64, warning: u64, per_agent: u64) -> TokenLimits {
    TokenLimits { total, warning, per_agent }
}

/// Schedules of submitted tasks in an ordinary run.
const TASK_SEEDS: u64 = 8;

/// [G26] [A6.3] [A3.3] 64 agents race at the limit: no more is spent than a turn of each over it,
/// each task ends once, and the line is warned of once.
#[test]
fn agents_that_race_at_the_limit_stay_within_it() {
    let mut sum = Tally::default();
    for seed in 0..TASK_SEEDS {
        let tally = Tasks::run(seed, limits(20_000, 10_000, 2_000));
        assert_eq!(tally.ends.get("warned"), Some(&1), "seed {seed}");
        sum.exceeded += tally.exceeded;
        sum.refused += tally.refused;
        for (how, count) in tally.ends {
            *sum.ends.entry(how).or_default() += count;
        }
    }
    assert!(sum.exceeded > 0 && sum.refused > 0, "{sum:?}");
    for how in ["completed", "unchanged", "failed", "cancelled"] {
        assert!(sum.ends.contains_key(how), "no task {how}: {sum:?}");
    }
}

/// [G26] [A6.3] 0 is no limit: of an agent, of all, and of both.
#[test]
fn where_there_is_no_limit_nobody_is_refused() {
    for seed in 0..TASK_SEEDS / 4 {
        let unlimited = Tasks::run(seed, limits(0, 0, 0));
        assert_eq!((unlimited.refused, unlimited.exceeded), (0, 0));
        assert!(unlimited.settled > 10_000 && !unlimited.ends.contains_key("warned"));
        let of_agents = Tasks::run(seed, limits(0, 0, 1_000));
        assert!(of_agents.refused == 0 && of_agents.exceeded > 0);
        let of_all = Tasks::run(seed, limits(5_000, 0, 0));
        assert!(of_all.refused > 0 && of_all.settled < 6_000);
    }
}
