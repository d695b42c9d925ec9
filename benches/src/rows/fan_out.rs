//! P10: events to many subscribers, beside axum's server-sent events.

use std::time::Duration;

use anyhow::Result;

use crate::load::fan_out::{Heard, Shape, Teller, fan_out};
use crate::series::Series;
use crate::site::{Floor, Grounds, Site, plain_config};
use crate::table::{Limit, Line};

/// From one event to the next where lateness is measured: 50 in a second.
const EVERY: Duration = Duration::from_millis(20);

/// Of ten subscribers, how many do not read when some do not.
const STALLED_OF_TEN: usize = 1;

/// `[P10]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let site = Site::new(grounds, "fan-out", &plain_config("/bin/true", &[], "none"))?;
    site.timed(&["daemon", "start"])?;
    let floor = Floor::start(grounds)?;
    let (ours, bare) = (Teller::Daemon(site.target()?), Teller::Floor(floor.port));
    let (subscribers, events) = if grounds.quick { (250, 96) } else { (900, 384) };
    let at_once = Shape { subscribers, stalled: 0, events, every: None };
    let stalled = subscribers * STALLED_OF_TEN / 10;
    let some_stalled = Shape { subscribers: subscribers - stalled, stalled, ..at_once };
    let paced = Shape { every: Some(EVERY), events: 50, ..at_once };
    let cases =
        [(&ours, at_once), (&bare, at_once), (&ours, some_stalled), (&ours, paced), (&bare, paced)];
    let mut heard: [Vec<Heard>; 5] = Default::default();
    for _ in 0..grounds.rounds {
        for ((teller, shape), heard) in cases.iter().zip(&mut heard) {
            heard.push(fan_out(teller, *shape)?);
        }
    }
    let series =
        |case: usize, of: fn(&Heard) -> f64| Series::of(heard[case].iter().map(of).collect());
    let each = |heard: &Heard| heard.us_per_delivery;
    let to = format!("{subscribers} subscribers");
    Ok(vec![
        Line::new("P10", format!("time per event and subscriber, {to}"), "µs", series(0, each))
            .over("axum, server-sent events", series(1, each))
            .aims_at("≥ 0.6 × the floor's throughput", Limit::Ratio(1.0 / 0.6)),
        Line::new(
            "P10",
            format!("the same while {stalled} of them do not read"),
            "µs",
            series(2, each),
        )
        .over("ours while all read", series(0, each))
        .aims_at("costs others nothing", Limit::Ratio(1.1)),
        Line::new(
            "P10",
            format!("from call to receipt, 50 events/s, {to}, median"),
            "ms",
            series(3, |heard| heard.p50_ms),
        )
        .over("axum, server-sent events", series(4, |heard| heard.p50_ms)),
        Line::new(
            "P10",
            format!("from call to receipt, 50 events/s, {to}, 99 of 100"),
            "ms",
            series(3, |heard| heard.p99_ms),
        )
        .over("axum, server-sent events", series(4, |heard| heard.p99_ms)),
    ])
}
