//! What goes well: from a goal to a branch.

use serde_json::json;

use crate::plans::{plan, role, script, task, turn, write, writes};
use crate::world::{Setting, git};

/// [N3] A goal becomes a plan, the plan work, the work one branch; whoever depends on a task starts
/// from what it landed. [D1] [G3] [G5] [G8]
#[test]
fn a_goal_becomes_a_branch() {
    let first = task("first", &["first.txt"], &[]);
    let second = task("second", &["second.txt"], &["first"]);
    let third = task("third", &["third.txt"], &[]);
    let answer = json!({ "summary": "three", "tasks": [first, second, third] });
    let scripts = [
        role("planner", &format!("{{ json = {} }}", inline(&answer))),
        writes("first", "first.txt", "one\n"),
        script("second", r#"{ run = "cat first.txt first.txt > second.txt" }, { say = "Done." }"#),
        writes("third", "third.txt", "three\n"),
    ];
    let world = Setting::codex(scripts.concat()).check("test -f README.md").build();
    let mut run = world.follow(&["run", "Write three files", "-j", "3", "--yes"]);
    let started = run.until(|event| event["type"] == "run.started");
    let said = run.end();
    assert_eq!(said.code, 0);
    assert_eq!(said.count("task.merged"), 3);
    let run = world.run();
    assert_eq!(run.id(), started["run"]);
    assert_eq!((run.state(), run.ids("merged").len()), ("done", 3));
    assert_eq!(world.result(&run, "second.txt"), "one\none");
    assert_eq!(world.result_files(&run), ["first.txt", "second.txt", "third.txt"]);
    let receipts = world.json(&["receipts", run.id()]);
    let landed = receipts["receipts"].as_array().unwrap().iter().filter(|it| !it["task"].is_null());
    assert_eq!(landed.count(), 3, "{receipts}");
    world.check(&run);
}

/// [N3] An agent that changed nothing has done its task; those that need it go on, and it is no
/// failure.
#[test]
fn a_task_without_a_change_is_done() {
    let scripts =
        [script("look", r#"{ say = "Nothing to do." }"#), writes("after", "after.txt", "x\n")];
    let world = Setting::codex(scripts.concat()).check("true").build();
    let file =
        world.plan(&plan(&[task("look", &[], &[]), task("after", &["after.txt"], &["look"])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 0);
    let run = world.run();
    assert_eq!((run.word("look"), run.word("after")), ("no_change", "merged"));
    world.check(&run);
}

/// Without checks nothing is claimed to have been checked.
#[test]
fn a_run_without_checks_says_so() {
    let world = Setting::codex(writes("only", "only.txt", "x\n")).build();
    let file = world.plan(&plan(&[task("only", &["only.txt"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 0);
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains("unchecked"), "{text}");
    world.check(&world.run());
}

/// Uncommitted, staged, untracked and stashed work stays as it is, byte for byte, and is in no
/// agent's way. [G5]
#[test]
fn a_dirty_tree_is_left_alone() {
    let scripts = writes("only", "tracked.txt", "by the agent\n");
    let mut world =
        Setting::codex(scripts).check("true").file("tracked.txt", "committed\n").build();
    let repo = world.repo();
    std::fs::write(repo.join("tracked.txt"), "put away\n").unwrap();
    git(&repo, &["stash"]);
    std::fs::write(repo.join("staged.txt"), "staged\n").unwrap();
    git(&repo, &["add", "staged.txt"]);
    std::fs::write(repo.join("tracked.txt"), "not committed\n").unwrap();
    std::fs::write(repo.join("untracked.txt"), "untracked\n").unwrap();
    world.user_worked();
    let file = world.plan(&plan(&[task("only", &["tracked.txt"], &[])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 0);
    let run = world.run();
    assert_eq!(world.result(&run, "tracked.txt"), "by the agent");
    assert_eq!(world.result_files(&run), ["tracked.txt"]);
    world.check(&run);
}

/// `--detach` comes back at once with the run's name, and `wait` waits.
#[test]
fn a_detached_run_is_waited_for() {
    let scripts =
        script("slow", &format!("{}, {{ say = \"Done.\", gate = \"go\" }}", write("a", "x\n")));
    let world = Setting::codex(scripts).check("true").build();
    let file = world.plan(&plan(&[task("slow", &["a"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes", "--detach"]);
    assert_eq!(said.code, 0);
    let run = world.run();
    assert!(said.stdout.contains(run.id()), "{}", said.stdout);
    assert_eq!(world.cxo(&["wait", run.id(), "--timeout", "0s"]).code, 75);
    world.model().open_gate("go");
    assert_eq!(world.cxo(&["wait", run.id()]).code, 0);
    world.check(&world.run());
}

/// Two runs at the same time: both work, each with its own branch.
#[test]
fn two_runs_go_on_side_by_side() {
    let held = |name: &str| {
        script(name, &format!("{}, {{ say = \"Done.\", gate = \"go\" }}", write(name, "x\n")))
    };
    let world = Setting::codex([held("one"), held("two")].concat()).check("true").build();
    let start = |id: &str| {
        let file = world.plan(&plan(&[task(id, &[id], &[])]));
        assert_eq!(world.cxo(&["run", "--plan", &file, "--yes", "--detach"]).code, 0);
        world.run()
    };
    let (one, two) = (start("one"), start("two"));
    assert_ne!(one.id(), two.id());
    for name in ["one", "two"] {
        let limit = std::time::Duration::from_mins(1);
        world.model().wait_for(limit, |asked| asked.script.as_deref() == Some(name)).unwrap();
    }
    world.model().open_gate("go");
    for run in [&one, &two] {
        assert_eq!(world.cxo(&["wait", run.id()]).code, 0);
    }
    assert_eq!(world.result_files(&one), ["one"]);
    assert_eq!(world.result_files(&two), ["two"]);
    world.check(&world.run_named(one.id()));
    world.check(&world.run_named(two.id()));
}

/// An answer that is no plan goes back to the planner with what is wrong. [D2]
#[test]
fn a_plan_that_cannot_be_followed_is_asked_for_again() {
    let bad = json!({ "summary": "s", "tasks": [task("a", &["a"], &["nobody"])] });
    let good = json!({ "summary": "s", "tasks": [task("a", &["a"], &[])] });
    let scripts = [
        role("planner", &format!("{{ json = {} }}", inline(&bad))),
        turn(&format!("{{ json = {} }}", inline(&good))),
        writes("a", "a", "x\n"),
    ];
    let world = Setting::codex(scripts.concat()).check("true").build();
    let said = world.follow(&["run", "Write a", "--yes"]).end();
    assert_eq!((said.code, said.count("plan.refused"), said.count("plan.requested")), (0, 1, 2));
    let planner: Vec<_> = world.model().witness().into_iter().filter(|it| it.wants_json).collect();
    assert_eq!(planner.len(), 2);
    assert_eq!(planner[0].thread, planner[1].thread);
    world.check(&world.run());
}

/// JSON as an inline table of TOML.
fn inline(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
