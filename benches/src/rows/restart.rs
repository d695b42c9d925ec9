//! P12: from the start of a daemon to its serving, with a long history and much that is going on.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use cxo_protocol::rows::{Row, RunRow};
use cxo_protocol::{Event, RunId, Timestamp};
use cxo_store::{Batch, NewEvent, Reader, Seq, SqliteStore, Store, StoredEvent, Stream};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::series::{Subject, interleaved};
use crate::site::{Grounds, Site, await_end, plain_config, task};
use crate::table::{Limit, Line};

/// Tasks of each run of the history.
const TASKS_OF_A_RUN: usize = 200;

/// Runs in the history: 100 000 tasks.
const RUNS: usize = 500;

/// Tasks that are not at their end.
const LIVE: usize = 10_000;

/// Agents that work.
const AGENTS: usize = 64;

/// Ended runs that a daemon holds; the floor reads as many.
const HELD_RUNS: u32 = 50;

/// `[P12]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let history = if grounds.quick { RUNS / 10 } else { RUNS };
    let live = if grounds.quick { LIVE / 10 } else { LIVE };
    let site = Site::new(grounds, "restart", &plain_config("/bin/sleep", &["600"], "none"))?;
    make_history(grounds, &site, history)?;
    let tasks: Vec<Value> = (0..live).map(|n| task(&format!("t{n}"), &[])).collect();
    let plan = site.plan("live.json", &tasks)?.display().to_string();
    site.timed(&["daemon", "start"])?;
    site.timed(&["run", "--plan", &plan, "--yes", "-j", &AGENTS.to_string(), "--detach"])?;
    wait_for_agents(&site)?;
    let database = site.state().join("state.db");
    let mut rows = 0;
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| {
            let (daemon, _) = site.pids()?;
            let pid = Pid::from_raw(i32::try_from(daemon)?).context("no pid")?;
            kill_process(pid, Signal::KILL)?;
            await_end(daemon)?;
            Ok(site.timed(&["daemon", "start"])?.as_secs_f64() * 1_000.0)
        }),
        Box::new(|| {
            let began = Instant::now();
            rows = read_and_parse(&database)?;
            Ok(began.elapsed().as_secs_f64() * 1_000.0)
        }),
    ];
    let all = interleaved(grounds.rounds, &mut subjects)?;
    drop(subjects);
    if running(&site)? != AGENTS {
        bail!("agents were lost over the restarts");
    }
    let what = format!(
        "killed daemon to serving: {} tasks in history, {live} live, {AGENTS} agents",
        history * TASKS_OF_A_RUN
    );
    Ok(vec![
        Line::new("P12", what.clone(), "ms", all[0].clone())
            .over(format!("reading and parsing the same {rows} rows"), all[1].clone())
            .aims_at("≤ 3 × reading and parsing the same rows", Limit::Ratio(3.0)),
        Line::new("P12", what, "ms", all[0].clone()).aims_at("≤ 2 s", Limit::Ours(2_000.0)),
    ])
}

/// One real run, copied under other names by the store itself.
fn make_history(grounds: &Grounds, site: &Site, runs: usize) -> Result<()> {
    let model = Site::new(grounds, "model", &plain_config("/bin/true", &[], "none"))?;
    let tasks: Vec<Value> = (0..TASKS_OF_A_RUN).map(|n| task(&format!("t{n}"), &[])).collect();
    let plan = model.plan("plan.json", &tasks)?;
    model.run_plan(&plan, 2)?;
    model.stop()?;
    let from = SqliteStore::open(&model.state().join("state.db"))?;
    let run = from.runs(cxo_store::RunFilter::Newest { limit: 1 })?.pop().context("no run")?;
    let events = from.read(&Stream::Run(run.run.clone()), Seq(0), 65_536)?;
    let tasks = from.tasks(&run.run)?;
    // A daemon makes the state directory of the other site; the store opens for one at a time.
    site.timed(&["daemon", "start"])?;
    site.stop()?;
    let mut to = SqliteStore::open(&site.state().join("state.db"))?;
    let lease = to.acquire_lease("bench", Timestamp(0))?;
    let mut last = to.last_seq()?;
    for n in 0..runs {
        let name = RunId::new(&format!("h{n:05}"))?;
        let mut rows = vec![Row::Run(RunRow { run: name.clone(), ..run.clone() })];
        rows.extend(tasks.iter().map(|task| {
            Row::Task(cxo_protocol::rows::TaskRow { run: name.clone(), ..task.clone() })
        }));
        let events = events.iter().map(|event| renamed(event, &run.run, &name)).collect();
        last = to.append(&lease, last, &Batch { events, rows, ..Batch::default() })?;
    }
    Ok(())
}

fn renamed(event: &StoredEvent, from: &RunId, to: &RunId) -> NewEvent {
    NewEvent {
        stream: Stream::Run(to.clone()),
        ts: event.ts,
        kind: event.kind.clone(),
        body: event.body.replace(from.as_str(), to.as_str()),
    }
}

fn running(site: &Site) -> Result<usize> {
    let (_, supervisor) = site.pids()?;
    super::memory::children(supervisor)
}

fn wait_for_agents(site: &Site) -> Result<()> {
    let began = Instant::now();
    while running(site)? < AGENTS {
        if began.elapsed().as_secs() > 60 {
            bail!("{} of {AGENTS} agents came up", running(site)?);
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// The rows that a daemon needs, read and parsed with nothing of ours around it.
fn read_and_parse(database: &Path) -> Result<usize> {
    let db = rusqlite::Connection::open_with_flags(
        database,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )?;
    let sql = "SELECT body FROM events WHERE run IN (
                 SELECT run FROM runs WHERE ended_at IS NULL
                 UNION SELECT run FROM (SELECT run FROM runs ORDER BY created_at DESC, run DESC LIMIT ?1))
               ORDER BY seq";
    let mut select = db.prepare(sql)?;
    let mut rows = select.query([HELD_RUNS])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_str()?;
        let event: Event = serde_json::from_str(body)?;
        std::hint::black_box(&event);
        count += 1;
    }
    Ok(count)
}
