//! P1: what a no-op task costs, from the daemon through the store to the supervisor and back.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use crate::peers::{Pueue, find, timed};
use crate::series::{Series, Subject, interleaved};
use crate::site::{Grounds, Site, plain_config, task};
use crate::table::{Limit, Line};

/// Independent tasks of a run.
const TASKS: u32 = 1_000;

/// Tasks for a peer that is slow: what one costs does not depend on how many there are.
const TASKS_OF_THE_SLOW: u32 = 100;

/// At once.
const JOBS: usize = 2;

/// `[P1]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let site = Site::new(grounds, "dispatch", &plain_config("/bin/true", &[], "none"))?;
    let confined =
        Site::new(grounds, "confined", &plain_config("/bin/true", &[], "workspace-write"))?;
    let tasks: Vec<Value> = (0..TASKS).map(|n| task(&format!("t{n}"), &[])).collect();
    let (plan, confined_plan) =
        (site.plan("plan.json", &tasks)?, confined.plan("plan.json", &tasks)?);
    for each in [&site, &confined] {
        each.timed(&["daemon", "start"])?;
    }
    let dir = grounds.scratch("peers")?;
    write_makefile(dir.path())?;
    let mut subjects: Vec<(&str, Subject<'_>)> = vec![
        ("ours", Box::new(|| Ok(site.run_plan(&plan, JOBS)?.as_secs_f64()))),
        ("confined", Box::new(|| Ok(confined.run_plan(&confined_plan, JOBS)?.as_secs_f64()))),
        ("make -j2", shell(dir.path(), "make -j2 -s all")),
    ];
    let mut skipped = Vec::new();
    let mut add = |name, program: &str, line| match find(&grounds.root, program) {
        Ok(_) => subjects.push((name, shell(dir.path(), line))),
        Err(why) => skipped.push((name, why)),
    };
    add("ninja -j2", "ninja", "ninja -j2 --quiet all");
    add("xargs -P2", "xargs", "seq 1000 | xargs -n1 -P2 /bin/true");
    add("GNU parallel", "parallel", "seq 1000 | parallel --will-cite -j2 /bin/true");
    let (names, mut subjects): (Vec<_>, Vec<_>) = subjects.into_iter().unzip();
    // What is started first finds cold caches.
    for subject in &mut subjects {
        subject()?;
    }
    let all = interleaved(grounds.rounds, &mut subjects)?;
    let per_task: Vec<Series> =
        all.iter().map(|each| each.times(1_000.0 / f64::from(TASKS))).collect();
    let mut line =
        Line::new("P1", "a no-op task of 1 000, -j2, workspace none", "ms", per_task[0].clone())
            .over("make -j2", per_task[2].clone())
            .aims_at("≤ 2 × make -j2, ≥ 100 × faster than pueue", Limit::Ratio(2.0));
    for (name, series) in names.iter().zip(&per_task).skip(3) {
        line = line.beside(*name, Ok(series.clone()));
    }
    for (name, why) in skipped {
        line = line.beside(name, Err(why));
    }
    line = line.beside("task-spooler", task_spooler(grounds, dir.path()));
    line = line.beside("pueue", pueue(grounds));
    let sandboxed =
        Line::new("P1", "the same with each agent in the sandbox", "ms", per_task[1].clone())
            .over("make -j2, no sandbox", per_task[2].clone());
    Ok(vec![line, sandboxed])
}

fn shell<'a>(dir: &'a Path, line: &'a str) -> Subject<'a> {
    Box::new(move || {
        let mut command = Command::new("sh");
        Ok(timed(command.args(["-c", line]).current_dir(dir))?.as_secs_f64())
    })
}

fn write_makefile(dir: &Path) -> Result<()> {
    let names: Vec<String> = (0..TASKS).map(|n| format!("t{n}")).collect();
    let names = names.join(" ");
    fs::write(
        dir.join("Makefile"),
        format!("T = {names}\n.PHONY: all $(T)\nall: $(T)\n$(T):\n\t@/bin/true\n"),
    )?;
    let builds: String = (0..TASKS).map(|n| format!("build t{n}: noop\n")).collect();
    let ninja = format!("rule noop\n  command = /bin/true\n{builds}build all: phony {names}\n");
    fs::write(dir.join("build.ninja"), ninja)?;
    Ok(())
}

/// It is fed task by task: it has no other way in.
fn task_spooler(grounds: &Grounds, dir: &Path) -> Result<Series, String> {
    let program = find(&grounds.root, "tsp")?;
    let socket = dir.join("tsp.sock");
    let tsp = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).env("TS_SOCKET", &socket).env("TMPDIR", dir);
        timed(&mut command)
    };
    let mut numbers = Vec::new();
    let measured = (|| -> Result<()> {
        tsp(&["-S", "2"])?;
        for _ in 0..grounds.rounds {
            let began = Instant::now();
            for _ in 0..TASKS {
                tsp(&["-n", "/bin/true"])?;
            }
            tsp(&["-w"])?;
            numbers.push(began.elapsed().as_secs_f64() * 1_000.0 / f64::from(TASKS));
            tsp(&["-C"])?;
        }
        Ok(())
    })();
    let _ = tsp(&["-K"]);
    measured.map(|()| Series::of(numbers)).map_err(|error| error.to_string())
}

fn pueue(grounds: &Grounds) -> Result<Series, String> {
    let pueue = Pueue::start(&grounds.root, JOBS)?;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let began = Instant::now();
        for _ in 0..TASKS_OF_THE_SLOW {
            pueue.add(None, &["/bin/true"]).map_err(|error| error.to_string())?;
        }
        timed(&mut pueue.command(&["wait", "--quiet"])).map_err(|error| error.to_string())?;
        numbers.push(began.elapsed().as_secs_f64() * 1_000.0 / f64::from(TASKS_OF_THE_SLOW));
        timed(&mut pueue.command(&["clean"])).map_err(|error| error.to_string())?;
    }
    Ok(Series::of(numbers))
}
