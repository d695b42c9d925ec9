//! What goes wrong and is mended, or is not and does not take the rest with it.

use crate::plans::{plan, script, task, turn, write, writes};
use crate::world::Setting;

/// A check that looks at one file and says what it found.
const CHECK: &str = "if grep -q bad *.txt 2>/dev/null; then grep -n bad *.txt; echo 'error: a bad line' >&2; exit 1; fi";

/// [C8] The agent is told on its own thread which check failed, with the failing lines, and mends
/// it. The script's second turn writes only when the prompt holds the line.
#[test]
fn a_failing_check_is_healed_on_the_same_thread() {
    let scripts = [
        writes("heal", "a.txt", "bad line of the agent\n"),
        turn(
            r#"{ write = "a.txt", content = "good\n", when_prompt_contains = "error: a bad line" }, { say = "Mended." }"#,
        ),
    ];
    let world = Setting::codex(scripts.concat()).check(CHECK).build();
    let file = world.plan(&plan(&[task("heal", &["a.txt"], &[])]));
    let said = world.follow(&["run", "--plan", &file, "--yes"]).end();
    assert_eq!((said.code, said.count("task.retried")), (0, 1));
    let run = world.run();
    assert_eq!((run.word("heal"), run.task("heal")["attempts"].as_u64()), ("merged", Some(2)));
    assert_eq!(world.result(&run, "a.txt"), "good");
    let threads: std::collections::BTreeSet<_> =
        world.model().witness().into_iter().map(|asked| asked.thread).collect();
    assert_eq!(threads.len(), 1);
    world.check(&run);
}

/// [C8] [C16] [D9] Three times red: the task fails, what needs it is blocked, what could land has
/// landed.
#[test]
fn a_task_that_stays_red_fails_and_blocks_only_its_dependents() {
    let scripts = [
        writes("red", "red.txt", "bad\n"),
        turn(&format!("{}, {{ say = \"Again.\" }}", write("red.txt", "still bad\n"))),
        writes("after", "after.txt", "x\n"),
        writes("beside", "beside.txt", "x\n"),
    ];
    let world = Setting::codex(scripts.concat()).check(CHECK).build();
    let file = world.plan(&plan(&[
        task("red", &["red.txt"], &[]),
        task("after", &["after.txt"], &["red"]),
        task("beside", &["beside.txt"], &[]),
    ]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 1);
    let run = world.run();
    assert_eq!(run.state(), "failed");
    assert_eq!(
        (run.word("red"), run.word("after"), run.word("beside")),
        ("failed", "blocked", "merged")
    );
    assert_eq!(run.task("red")["attempts"], 3);
    let lines = run.task("red")["failing_lines"].to_string();
    assert!(lines.contains("bad"), "{lines}");
    assert_eq!(world.result_files(&run), ["beside.txt"]);
    world.check(&run);
}

/// [C8] [D9] Conflict markers never land, whatever the agent says.
#[test]
fn markers_that_an_agent_left_go_back_to_it() {
    let marked = "<<<<<<< ours\none\n=======\ntwo\n>>>>>>> theirs\n";
    let scripts = [
        writes("marks", "a.txt", marked),
        turn(&format!("{}, {{ say = \"Gone.\" }}", write("a.txt", "one\ntwo\n"))),
    ];
    let world = Setting::codex(scripts.concat()).check("true").file("a.txt", "one\n").build();
    let file = world.plan(&plan(&[task("marks", &["a.txt"], &[])]));
    let said = world.follow(&["run", "--plan", &file, "--yes"]).end();
    assert_eq!((said.code, said.count("task.retried")), (0, 1));
    let run = world.run();
    assert_eq!(world.result(&run, "a.txt"), "one\ntwo");
    world.check(&run);
}

/// A red base stops the run before a model is asked anything.
#[test]
fn a_red_base_costs_nothing() {
    let world = Setting::codex(writes("a", "a", "x\n")).check("echo base is red; exit 3").build();
    let file = world.plan(&plan(&[task("a", &["a"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 1);
    assert!(said.stderr.contains("base is red") || said.stdout.contains("base is red"));
    assert_eq!(world.model().witness(), []);
    assert_eq!(world.run().state(), "failed");
    world.check_unlanded();
}

/// An agent that exits badly is asked again, and a command agent's failure is its exit code.
#[test]
fn a_command_agent_that_fails_once_is_tried_again() {
    let world = Setting::command().check("true").build();
    let file = world.plan(&plan(&[crate::plans::acts(
        "a",
        "once tripped fail 7\nwrite a.txt done\\n",
        &[],
    )]));
    let said = world.follow(&["run", "--plan", &file, "--yes"]).end();
    assert_eq!(said.code, 0, "{}", said.stderr);
    let run = world.run();
    assert_eq!(world.result(&run, "a.txt"), "done");
    world.check(&run);
}

/// A script that says nothing the model knows is a failure that names itself.
#[test]
fn an_agent_that_cannot_work_fails_its_task_alone() {
    let world = Setting::codex(script("known", r#"{ say = "x" }"#)).check("true").build();
    let file = world.plan(&plan(&[task("unknown", &[], &[]), task("known", &[], &[])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 1);
    let run = world.run();
    assert_eq!((run.word("unknown"), run.word("known")), ("failed", "no_change"));
    world.check(&run);
}
