//! Many small tasks: what one event costs must not depend on how many tasks there are. [P11]

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::plans::plan;
use crate::replay::{log, replay};
use crate::world::Setting;

/// Tasks of a layer; each needs two of the layer before.
const LAYER: usize = 50;

/// A layered graph of tasks that need no git.
fn graph(tasks: usize) -> Vec<Value> {
    let name = |index: usize| format!("t{index}");
    (0..tasks)
        .map(|index| {
            let first = index.checked_sub(LAYER);
            let second = first.filter(|first| first % LAYER != 0).map(|first| first - 1);
            let needs: Vec<String> = [first, second].into_iter().flatten().map(name).collect();
            json!({
                "id": name(index), "title": format!("Task {index}"), "description": "",
                "files": [], "depends_on": needs, "acceptance": [],
            })
        })
        .collect()
}

/// Runs them and returns milliseconds per task.
fn run(tasks: usize) -> f64 {
    let world = Setting::command()
        .config("[workspace]\nisolation = \"none\"\n")
        .run_config("jobs = 8")
        .build();
    let file = world.plan(&plan(&graph(tasks)));
    let began = Instant::now();
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes", "--detach"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let per_task =
        began.elapsed().as_secs_f64() * 1000.0 / f64::from(u32::try_from(tasks).unwrap());
    let seen = world.run();
    assert_eq!(seen.ids("no_change").len(), tasks);
    let replayed = replay_size(&world.state().join("state.db"), seen.id());
    eprintln!("{tasks} tasks: {per_task:.1} ms per task; {replayed}");
    world.check_unlanded();
    per_task
}

fn replay_size(database: &Path, run: &str) -> String {
    let events = log(database, run);
    let mut text = format!("{} events", events.len());
    // The slow rules cost a look at every task after every event.
    if events.len() < 2_000 {
        let _ = write!(text, ", {:?}", replay(&events));
    }
    text
}

/// [N10]
#[test]
fn two_hundred_tasks_in_layers() {
    run(200);
}

/// Ten times the tasks must cost about ten times the time, not a hundred times.
#[test]
#[ignore = "takes minutes: ./test --long"]
fn two_thousand_tasks_cost_no_more_each() {
    let few = run(200);
    let many = run(2_000);
    assert!(many < few * 2.0, "{few:.1} ms per task of 200, {many:.1} ms per task of 2000");
}
