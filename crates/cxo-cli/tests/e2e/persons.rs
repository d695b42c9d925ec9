//! What a person can do to a run: retry, skip, cancel, resume.

use cxo_testkit::model::WitnessEntry;

use crate::plans::{acts, plan, script, task, turn, write, writes};
use crate::world::{SAFETY_NET, Setting, World};

/// One task fails with `retries = 0`, one needs it.
fn failed_world() -> World {
    let scripts = [
        writes("first", "first.txt", "bad\n"),
        turn(&format!("{}, {{ say = \"Mended.\" }}", write("first.txt", "good\n"))),
        writes("second", "second.txt", "x\n"),
    ];
    let world = Setting::codex(scripts.concat())
        .check("! grep -q bad first.txt")
        .file("first.txt", "\n")
        .run_config("retries = 0")
        .build();
    let tasks = [task("first", &["first.txt"], &[]), task("second", &["second.txt"], &["first"])];
    let file = world.plan(&plan(&tasks));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 1);
    let run = world.run();
    assert_eq!((run.word("first"), run.word("second")), ("failed", "blocked"));
    world
}

#[test]
fn a_failed_task_is_tried_again_with_a_note_and_its_dependents_follow() {
    let world = failed_world();
    assert_eq!(world.cxo(&["task", "retry", "first", "--note", "write good"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged"), ["first", "second"]);
    assert_eq!(world.result_files(&run), ["first.txt", "second.txt"]);
    world.check(&run);
}

#[test]
fn a_failed_task_is_skipped_and_its_dependents_go_on() {
    let world = failed_world();
    assert_eq!(world.cxo(&["task", "skip", "first"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    let run = world.run();
    assert_eq!((run.word("first"), run.word("second")), ("no_change", "merged"));
    world.check(&run);
}

/// [D8]
#[test]
fn a_run_that_failed_is_resumed_without_planning_anew() {
    let world = failed_world();
    assert_eq!(world.cxo(&["resume", "--yes"]).code, 0);
    let run = world.run();
    assert_eq!(run.ids("merged"), ["first", "second"]);
    world.check(&run);
}

/// A cancelled task's agent is gone with everything it started; the others are not touched. [G13]
#[test]
fn a_cancelled_task_takes_its_processes_with_it() {
    let world = Setting::command().check("true").build();
    let file = world.plan(&plan(&[
        acts("stuck", "ignore-term\ndaemon\nprint up\nhang", &[]),
        acts("fine", "write fine.txt x\\n", &[]),
        acts("after", "write after.txt x\\n", &["stuck"]),
    ]));
    let mut run = world.follow(&["run", "--plan", &file, "--yes"]);
    run.until_task("task.merged", "fine");
    assert_eq!(world.cxo(&["task", "cancel", "stuck"]).code, 0);
    assert_eq!(run.end().code, 1);
    let run = world.run();
    assert_eq!(
        (run.word("stuck"), run.word("after"), run.word("fine")),
        ("cancelled", "blocked", "merged")
    );
    world.check(&run);
}

/// A cancelled run ends its agents; what had landed is published, and it can be resumed.
#[test]
fn a_cancelled_run_keeps_what_landed_and_can_go_on() {
    let scripts = [
        writes("first", "first.txt", "x\n"),
        script(
            "held",
            &format!("{}, {{ say = \"Done.\", gate = \"go\" }}", write("held.txt", "x\n")),
        ),
    ];
    let world = Setting::codex(scripts.concat()).check("true").build();
    let tasks = [task("first", &["first.txt"], &[]), task("held", &["held.txt"], &["first"])];
    let file = world.plan(&plan(&tasks));
    let mut run = world.follow(&["run", "--plan", &file, "--yes"]);
    run.until_task("attempt.thread_started", "held");
    // Before that its file may be asked for and not be written.
    let at_gate = |it: &WitnessEntry| it.script.as_deref() == Some("held") && it.step == 2;
    world.model().wait_for(SAFETY_NET, at_gate).unwrap();
    assert_eq!(world.cxo(&["cancel", "-"]).code, 0);
    assert_eq!(run.end().code, 1);
    let seen = world.run();
    assert_eq!(
        (seen.state(), seen.word("first"), seen.word("held")),
        ("cancelled", "merged", "cancelled")
    );
    assert_eq!(world.result_files(&seen), ["first.txt"]);
    world.model().open_gate("go");
    assert_eq!(world.cxo(&["resume", "--yes"]).code, 0);
    let seen = world.run();
    assert_eq!(seen.ids("merged"), ["first", "held"]);
    assert_eq!(world.result_files(&seen), ["first.txt", "held.txt"]);
    world.check(&seen);
}
