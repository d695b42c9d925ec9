//! P11: what an event costs the core, by the number of tasks. The core's own example measures it.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::series::Series;
use crate::site::Grounds;
use crate::table::{Limit, Line};

/// `[P11]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let program = grounds.built.join("examples/scheduling");
    let mut by_size: Vec<(u64, Vec<f64>)> = Vec::new();
    // The example takes the fastest of five of each size; this asks it more than once.
    for _ in 0..if grounds.quick { 1 } else { 3 } {
        let done =
            Command::new(&program).output().context("the scheduling example was not built")?;
        for line in String::from_utf8_lossy(&done.stdout).lines() {
            let told: Value = serde_json::from_str(line)?;
            let tasks = told["tasks"].as_u64().context("no tasks")?;
            let micros = told["ns_per_event"].as_f64().context("no time")? / 1_000.0;
            match by_size.iter_mut().find(|(size, _)| *size == tasks) {
                Some((_, numbers)) => numbers.push(micros),
                None => by_size.push((tasks, vec![micros])),
            }
        }
    }
    let of = |tasks: u64| {
        let found = by_size.iter().find(|(size, _)| *size == tasks);
        found.map(|(_, numbers)| Series::of(numbers.clone())).context("a size is missing")
    };
    let (small, middle, large) = (of(1_000)?, of(10_000)?, of(100_000)?);
    Ok(vec![
        Line::new("P11", "decide and evolve, per event, 10 000 tasks in layers", "µs", middle)
            .aims_at("≤ 2 µs per event", Limit::Ours(2.0)),
        Line::new("P11", "the same with 100 000 tasks", "µs", large)
            .over("with 1 000 tasks", small)
            .aims_at("≤ 2 × (100 000 : 1 000 tasks)", Limit::Ratio(2.0)),
    ])
}
