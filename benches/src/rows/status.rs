//! P15: how long somebody waits for `cxo status`, and a daemon takes to come up.

use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::peers::{Pueue, timed};
use crate::series::{Series, Subject, interleaved};
use crate::site::{Grounds, Site, plain_config, task};
use crate::table::{Limit, Line};

/// How often: a process of a millisecond is measured many times.
const TIMES: usize = 51;

/// How often a daemon is started.
const STARTS: usize = 9;

/// `[P15]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let site = Site::new(grounds, "status", &plain_config("/bin/true", &[], "none"))?;
    let plan: Vec<Value> = (0..20).map(|n| task(&format!("t{n}"), &[])).collect();
    let plan = site.plan("plan.json", &plan)?;
    site.run_plan(&plan, 2)?;
    let pueue = Pueue::start(&grounds.root, 2);
    let ms = |took: std::time::Duration| took.as_secs_f64() * 1_000.0;
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| Ok(ms(timed(&mut site.cxo(&["status"]))?))),
        Box::new(|| Ok(ms(timed(Command::new("git").arg("--version"))?))),
        Box::new(|| Ok(ms(timed(&mut site.cxo(&["--version"]))?))),
    ];
    if let Ok(pueue) = &pueue {
        subjects.push(Box::new(|| Ok(ms(timed(&mut pueue.command(&["status"]))?))));
    }
    let all = interleaved(TIMES, &mut subjects)?;
    drop(subjects);
    let peer = pueue.as_ref().map(|_| all[3].clone()).map_err(Clone::clone);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        site.stop()?;
        starts.push(ms(site.timed(&["daemon", "start"])?));
    }
    drop(pueue);
    let pueued = (0..STARTS).map(|_| {
        let began = std::time::Instant::now();
        Pueue::start(&grounds.root, 2).map(|_started| ms(began.elapsed()))
    });
    let pueued = pueued.collect::<Result<Vec<f64>, String>>().map(Series::of);
    Ok(vec![
        Line::new("P15", "cxo status with a daemon", "ms", all[0].clone())
            .over("git --version", all[1].clone())
            .aims_at("≤ 3 × git --version", Limit::Ratio(3.0))
            .beside("cxo --version", Ok(all[2].clone()))
            .beside("pueue status", peer),
        Line::new("P15", "cxo daemon start, nothing of ours runs", "ms", Series::of(starts))
            .aims_at("≤ 25 ms", Limit::Ours(25.0))
            .beside("pueued, started, asked until it answers, and stopped", pueued),
    ])
}
