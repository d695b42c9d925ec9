//! P14: what the orchestrator does while it waits: wake-ups, processor time, files written.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::load::Sessions;
use crate::series::Series;
use crate::site::{Grounds, Site, plain_config, task};
use crate::table::{Limit, Line};

/// Tasks that wait for the one that works, and sessions that are open.
const WAITING: usize = 100;

/// How long nothing is to happen.
const WATCHED_FOR: Duration = Duration::from_secs(10);

/// How long what the start left to do may take.
const SETTLED_AFTER: Duration = Duration::from_secs(13);

/// What was seen of the processes.
#[derive(Debug, Clone, Copy)]
struct Seen {
    switches: f64,
    cpu_ms: f64,
    bytes: f64,
}

/// `[P14]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let site = Site::new(grounds, "idle", &plain_config("/bin/sleep", &["600"], "none"))?;
    let plan: Vec<Value> = (0..=WAITING).map(|n| task(&format!("t{n}"), &[])).collect();
    let plan = site.plan("plan.json", &plan)?.display().to_string();
    site.timed(&["daemon", "start"])?;
    let (_, supervisor) = site.pids()?;
    site.timed(&["run", "--plan", &plan, "--yes", "-j", "1", "--detach"])?;
    let began = Instant::now();
    while super::memory::children(supervisor)? < 1 {
        if began.elapsed().as_secs() > 30 {
            bail!("the agent did not come up");
        }
        std::thread::yield_now();
    }
    let mut lines = watched(grounds, &site, &format!("{WAITING} tasks wait for one agent"))?;
    let sessions = Sessions::open(&site.target()?, WAITING)?;
    lines.extend(watched(grounds, &site, &format!("{WAITING} open sessions besides"))?);
    drop(sessions);
    Ok(lines)
}

/// What daemon and supervisor do while nothing happens.
fn watched(grounds: &Grounds, site: &Site, case: &str) -> Result<Vec<Line>> {
    let (daemon, supervisor) = site.pids()?;
    // What the beginning left to do is not idleness: threads of the runtime that were needed once
    // leave after ten seconds.
    std::thread::sleep(SETTLED_AFTER);
    let (mut switches, mut cpu, mut bytes, mut files) = (vec![], vec![], vec![], vec![]);
    for _ in 0..if grounds.quick { 1 } else { 3 } {
        let from = SystemTime::now();
        let before = [seen(daemon)?, seen(supervisor)?];
        std::thread::sleep(WATCHED_FOR);
        let after = [seen(daemon)?, seen(supervisor)?];
        let sum = |of: fn(&Seen) -> f64| {
            after.iter().map(of).sum::<f64>() - before.iter().map(of).sum::<f64>()
        };
        let seconds = WATCHED_FOR.as_secs_f64();
        switches.push(sum(|seen| seen.switches) / seconds);
        cpu.push(sum(|seen| seen.cpu_ms) / seconds / 10.0);
        bytes.push(sum(|seen| seen.bytes));
        files.push(f64::from(changed_since(&site.state(), from)?));
    }
    let what = |of: &str| format!("{of}, {case}, daemon and supervisor");
    Ok(vec![
        Line::new("P14", what("wake-ups per second"), "1/s", Series::of(switches))
            .aims_at("0 beyond timers that are due", Limit::Ours(0.0)),
        Line::new("P14", what("processor"), "%", Series::of(cpu))
            .aims_at("< 0.1 %", Limit::Ours(0.1)),
        Line::new("P14", what("bytes written in 10 s"), "bytes", Series::of(bytes))
            .aims_at("0", Limit::Ours(0.0)),
        Line::new("P14", what("files changed in 10 s"), "files", Series::of(files))
            .aims_at("no file written", Limit::Ours(0.0)),
    ])
}

fn seen(pid: u32) -> Result<Seen> {
    let mut seen = Seen { switches: 0.0, cpu_ms: 0.0, bytes: 0.0 };
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let thread = thread?.path();
        let status = fs::read_to_string(thread.join("status"))?;
        for line in status.lines().filter(|line| line.contains("ctxt_switches")) {
            seen.switches += line.split_whitespace().nth(1).context("no number")?.parse::<f64>()?;
        }
        let ran = fs::read_to_string(thread.join("schedstat"))?;
        let ran_ns: f64 = ran.split_whitespace().next().context("no number")?.parse()?;
        seen.cpu_ms += ran_ns / 1e6;
    }
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let wrote = io.lines().find_map(|line| line.strip_prefix("wchar:")).context("no wchar")?;
    seen.bytes = wrote.trim().parse()?;
    Ok(seen)
}

fn changed_since(dir: &std::path::Path, from: SystemTime) -> Result<u32> {
    let mut changed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            changed += changed_since(&entry.path(), from)?;
        } else if meta.modified()? > from {
            changed += 1;
        }
    }
    Ok(changed)
}
