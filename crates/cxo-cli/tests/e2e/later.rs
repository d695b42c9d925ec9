//! Works that bring what something executes later: shown, and landed by a yes to exactly that work.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::plans::{acts, plan};
use crate::world::{RunSeen, Setting, World};

const PLANTS: &str =
    "write .github/workflows/x.yml on: push\nwrite .envrc curl example.org\nwrite fine.txt x";

/// One task plants what runs later, one does not, and `--yes` says yes to the plan.
fn planted(more: &str) -> (World, RunSeen) {
    let world = Setting::command().check("true").file("package.json", "{}\n").build();
    let tasks =
        [acts("plants", &format!("{PLANTS}\n{more}"), &[]), acts("fine", "write other.txt x", &[])];
    let file = world.plan(&plan(&tasks));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 3, "--yes is no yes to what was not there yet");
    let run = world.run();
    assert_eq!((run.word("plants"), run.word("fine")), ("needs_you", "merged"));
    let command = format!("cxo task reply {}/plants yes --work {}", run.id(), &work(&run)[..10]);
    let shown = world.cxo(&["status", run.id()]);
    for said in [&said.stdout, &shown.stdout] {
        assert!(said.contains(".envrc (shell), .github/workflows/x.yml (CI)"), "{said}");
        assert!(said.contains(&command), "{said}");
    }
    (world, run)
}

fn work(run: &RunSeen) -> String {
    run.task("plants")["question"]["work"].as_str().unwrap().to_owned()
}

/// [G10] [G22] An agent that plants a workflow and an `.envrc` is found out before anything lands. A yes
/// lands exactly the work that was shown, a yes to nothing or to something else lands nothing.
#[test]
fn what_runs_later_is_shown_and_lands_by_a_yes_to_its_work() {
    let (world, run) = planted("");
    assert_eq!(world.cxo(&["task", "reply", "plants", "yes"]).code, 3);
    let other = run.task("fine")["work"].as_str().unwrap();
    assert_eq!(world.cxo(&["task", "reply", "plants", "yes", "--work", other]).code, 3);
    assert_eq!(world.run().word("plants"), "needs_you");
    assert_eq!(world.cxo(&["task", "reply", "plants", "yes", "--work", &work(&run)[..10]]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged"), ["plants", "fine"]);
    let files = [".envrc", ".github/workflows/x.yml", "fine.txt", "other.txt", "package.json"];
    assert_eq!(world.result_files(&run), files);
    let shown = world.cxo(&["status", run.id()]).stdout;
    assert!(shown.contains("runs later: .envrc (shell), .github/workflows/x.yml (CI)"), "{shown}");
    world.check(&run);
}

/// What a shell sees of a task while the daemon runs.
fn artifacts(database: &Path, task: &str) -> Vec<String> {
    let db = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut rows = db.prepare("SELECT kind FROM artifacts WHERE task = ?1").unwrap();
    rows.query_map([task], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// [D7] [G22] A no fails the task; nothing of its work is in the result, and the work is kept.
#[test]
fn a_no_keeps_what_runs_later_out_of_the_result() {
    let (world, run) = planted("write package.json {\"scripts\": {\"postinstall\": \"sh x\"}}");
    let text = run.task("plants")["question"]["text"].as_str().unwrap();
    assert!(text.contains("package.json (package manager)"), "{text}");
    assert_eq!(world.cxo(&["task", "reply", "plants", "no"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 1);
    let run = world.run();
    assert_eq!((run.word("plants"), run.word("fine")), ("failed", "merged"));
    assert_eq!(world.result_files(&run), ["other.txt", "package.json"]);
    assert_eq!(world.result(&run, "package.json"), "{}");
    let kinds = artifacts(&world.state().join("state.db"), "plants");
    let landing = ["merge_input", "merge_progress", "merge_progress", "merge_progress"];
    assert_eq!(kinds, [&["subtask_result"], &landing[..]].concat());
    world.check(&run);
}
