//! P8 and P9: calls of many clients at once, with the handshake and signed frames, beside a server
//! that does nothing but that.

use std::time::Duration;

use anyhow::Result;

use crate::load::{self, Calls, Target, Went};
use crate::series::Series;
use crate::site::{Floor, Grounds, Site, plain_config};
use crate::table::{Limit, Line};

/// How many clients there are at once.
const CLIENTS: [usize; 3] = [1, 64, 512];

/// What the targets speak of.
const TARGETED_CLIENTS: usize = 64;

/// How long each measurement takes.
const LASTING: Duration = Duration::from_secs(2);

/// How long with `--quick`.
const QUICK_LASTING: Duration = Duration::from_millis(500);

/// `[P8]`
pub(super) fn reads(grounds: &Grounds) -> Result<Vec<Line>> {
    let aim = Aim {
        throughput: "≥ 0.6 × the floor's throughput",
        ratio: 1.0 / 0.6,
        p99_ms: 3.0,
        p99: "≤ 3 ms",
    };
    measure(grounds, "P8", &[Calls::Reads], &aim)
}

/// `[P9]`
pub(super) fn writes(grounds: &Grounds) -> Result<Vec<Line>> {
    let aim = Aim {
        throughput: "≥ 0.5 × the floor's throughput",
        ratio: 2.0,
        p99_ms: 15.0,
        p99: "≤ 15 ms",
    };
    measure(grounds, "P9", &[Calls::Writes, Calls::Mixed], &aim)
}

/// What is aimed at with 64 clients.
struct Aim {
    throughput: &'static str,
    ratio: f64,
    p99: &'static str,
    p99_ms: f64,
}

fn measure(grounds: &Grounds, id: &'static str, all: &[Calls], aim: &Aim) -> Result<Vec<Line>> {
    let site = Site::new(grounds, "rpc", &plain_config("/bin/true", &[], "none"))?;
    site.timed(&["daemon", "start"])?;
    let floor = Floor::start(grounds)?;
    let mut lines = Vec::new();
    for calls in all {
        for clients in CLIENTS {
            let targets = [site.target()?, floor.target()?];
            let [ours, least] = in_turn(grounds, &targets, clients, *calls)?;
            let what = format!("{}, clients: {clients}", calls.name());
            let each = Line::new(id, format!("time per call, {what}"), "µs", ours.us_per_call)
                .over("signed echo", least.us_per_call);
            let p99 = Line::new(id, format!("99 of 100 calls, {what}"), "ms", ours.p99_ms)
                .over("signed echo", least.p99_ms);
            let p50 = Line::new(id, format!("median call, {what}"), "ms", ours.p50_ms)
                .over("signed echo", least.p50_ms);
            let is_targeted = clients == TARGETED_CLIENTS && *calls != Calls::Mixed;
            lines.extend(if is_targeted {
                [
                    each.aims_at(aim.throughput, Limit::Ratio(aim.ratio)),
                    p50,
                    p99.aims_at(aim.p99, Limit::Ours(aim.p99_ms)),
                ]
            } else {
                [each, p50, p99]
            });
        }
    }
    Ok(lines)
}

/// What was measured of one server.
#[derive(Default)]
struct Measured {
    us_per_call: Series,
    p50_ms: Series,
    p99_ms: Series,
}

/// Drives both servers in turn, so that what else the machine does meets both alike.
fn in_turn(
    grounds: &Grounds,
    targets: &[Target; 2],
    clients: usize,
    calls: Calls,
) -> Result<[Measured; 2]> {
    let lasting = if grounds.quick { QUICK_LASTING } else { LASTING };
    let mut went: [Vec<Went>; 2] = Default::default();
    for _ in 0..grounds.rounds {
        for (target, went) in targets.iter().zip(&mut went) {
            went.push(load::drive(target, clients, calls, lasting)?);
        }
    }
    Ok(went.map(|went| {
        let series = |of: fn(&Went) -> f64| Series::of(went.iter().map(of).collect());
        Measured {
            us_per_call: series(|went| went.us_per_call),
            p50_ms: series(|went| went.p50_us / 1e3),
            p99_ms: series(|went| went.p99_us / 1e3),
        }
    }))
}
