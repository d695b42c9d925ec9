//! P13: memory of our processes: idle, per agent, and with many tasks.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::peers::Pueue;
use crate::series::Series;
use crate::site::{Grounds, Site, plain_config, task};
use crate::table::{Limit, Line};

/// Agents at once.
const AGENTS: u32 = 64;

/// Tasks that wait.
const TASKS: u32 = 10_000;

/// `[P13]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let mut idle = Vec::new();
    let mut per_agent = Vec::new();
    let mut per_task = Vec::new();
    for _ in 0..grounds.rounds.min(5) {
        let (rested, with_agents) = levels(grounds, AGENTS, AGENTS)?;
        idle.push(rested);
        per_agent.push((with_agents - rested) / f64::from(AGENTS) * 1_024.0);
        let (_, few) = levels(grounds, TASKS / 10, 1)?;
        let (_, many) = levels(grounds, TASKS, 1)?;
        per_task.push((many - few) / f64::from(TASKS - TASKS / 10) * 1_024.0);
    }
    let pueued = Pueue::start(&grounds.root, 2)
        .and_then(|pueue| rss_mib(pueue.pid()).map_err(|error| error.to_string()))
        .map(|mib| Series::of(vec![mib]));
    Ok(vec![
        Line::new("P13", "resident memory idle, daemon and supervisor", "MiB", Series::of(idle))
            .aims_at("≤ 15 MB", Limit::Ours(15.0))
            .beside("pueued", pueued),
        Line::new(
            "P13",
            format!("more per agent, {AGENTS} at once, all processes of ours"),
            "KiB",
            Series::of(per_agent),
        )
        .aims_at("≤ 1.5 MB per agent", Limit::Ours(1_536.0)),
        Line::new("P13", format!("more per task, {TASKS} waiting"), "KiB", Series::of(per_task))
            .aims_at("≤ 1.5 KiB per task", Limit::Ours(1.5)),
    ])
}

/// The memory of daemon and supervisor before a run, and while its agents work, in MiB.
fn levels(grounds: &Grounds, tasks: u32, jobs: u32) -> Result<(f64, f64)> {
    let site = Site::new(grounds, "memory", &plain_config("/bin/sleep", &["600"], "none"))?;
    let plan: Vec<Value> = (0..tasks).map(|n| task(&format!("t{n}"), &[])).collect();
    let plan = site.plan("plan.json", &plan)?.display().to_string();
    site.timed(&["daemon", "start"])?;
    let (daemon, supervisor) = site.pids()?;
    let sum = || -> Result<f64> { Ok(rss_mib(daemon)? + rss_mib(supervisor)?) };
    let rested = sum()?;
    site.timed(&["run", "--plan", &plan, "--yes", "-j", &jobs.to_string(), "--detach"])?;
    let began = Instant::now();
    while children(supervisor)? < usize::try_from(jobs)? {
        if began.elapsed().as_secs() > 60 {
            bail!("the agents did not come up");
        }
        std::thread::yield_now();
    }
    Ok((rested, sum()?))
}

/// Processes that a process has started and that live.
pub(super) fn children(pid: u32) -> Result<usize> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().count())
}

fn rss_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().next().context("no number")?.parse()?;
    Ok(kib / 1_024.0)
}
