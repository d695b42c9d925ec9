//! What is not started: the named error, and nothing is changed. [G30]

use serde_json::json;

use crate::plans::{plan, task, writes};
use crate::world::{Setting, World};

fn world() -> World {
    Setting::codex(writes("a", "a.txt", "x\n")).check("true").build()
}

/// Nothing was asked of a model, no branch was made, and the user's tree is as it was.
fn nothing_happened(world: &World) {
    assert_eq!(world.model().witness(), []);
    world.check_unlanded();
    let branches = crate::world::git(&world.repo(), &["branch", "--list", "result-*"]);
    assert_eq!(branches, "");
}

#[test]
fn a_plan_with_a_cycle_is_refused_with_the_whole_cycle() {
    let world = world();
    let file = world.plan(&plan(&[
        task("a", &[], &["c"]),
        task("b", &[], &["a"]),
        task("c", &[], &["b"]),
    ]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("error[CX"), "{}", said.stderr);
    for id in ["a", "b", "c"] {
        assert!(said.stderr.contains(id), "{}", said.stderr);
    }
    assert!(said.stderr.contains("a → c → b → a"), "{}", said.stderr);
    let status = world.json(&["status"]);
    assert_eq!(status["runs"], json!([]));
    nothing_happened(&world);
}

#[test]
fn a_plan_that_is_no_plan_is_refused() {
    let world = world();
    for text in ["", "{", "[]", r#"{"summary":"s","tasks":[]}"#, r#"{"summary":"s"}"#] {
        let path = world.root().join("bad.json");
        std::fs::write(&path, text).unwrap();
        let said = world.cxo(&["run", "--plan", path.to_str().unwrap(), "--yes"]);
        assert_eq!(said.code, 2, "{text}");
        assert!(said.stderr.contains("error[CX"), "{}", said.stderr);
    }
    nothing_happened(&world);
}

#[test]
fn a_base_that_does_not_exist_is_named() {
    let world = world();
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes", "--base", "nowhere"]);
    assert!(matches!(said.code, 1 | 2), "{}", said.code);
    assert!(said.stderr.contains("nowhere"), "{}", said.stderr);
    nothing_happened(&world);
}

#[test]
fn a_directory_without_a_repository_is_named() {
    let world = world();
    // The world itself may lie in a repository: builds go to a folder of the checkout.
    let outside = tempfile::tempdir().unwrap();
    let said = world.cxo(&["run", "Do it", "--yes", "--repo", outside.path().to_str().unwrap()]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("git init"), "{}", said.stderr);
}

#[test]
fn a_mistyped_key_is_named_with_what_was_meant() {
    let world = Setting::codex(writes("a", "a.txt", "x\n")).run_config("retrys = 1").build();
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert_eq!(said.code, 2);
    assert!(said.stderr.contains("retries"), "{}", said.stderr);
    nothing_happened(&world);
}

#[test]
fn a_check_that_does_not_exist_is_noticed_before_anything_is_spent() {
    let world =
        Setting::codex(writes("a", "a.txt", "x\n")).check("no-such-program --at-all").build();
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    let said = world.cxo(&["run", "--plan", &file, "--yes"]);
    assert!(matches!(said.code, 1 | 2), "{}", said.code);
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains("no-such-program"), "{text}");
    nothing_happened(&world);
}

/// Off a terminal nothing is approved by itself: what was planned is kept, and one command goes on.
#[test]
fn without_a_yes_nothing_starts_and_the_plan_is_kept() {
    let world = world();
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    let said = world.cxo(&["run", "--plan", &file]);
    assert_eq!(said.code, 3);
    let run = world.run();
    assert_eq!(run.state(), "needs_manual_review");
    let resume = format!("cxo resume {} --yes", run.id());
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(text.contains(&resume), "{text}");
    assert_eq!(world.model().witness(), []);
    let said = world.cxo(&["resume", run.id(), "--yes"]);
    assert_eq!(said.code, 0);
    assert_eq!(world.run().id(), run.id());
    world.check(&world.run());
}

/// [N18] The second time, commands that were approved once are not asked about again, and changed
/// ones are.
#[test]
fn commands_are_approved_once_by_what_they_are() {
    let mut world = world();
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    assert_eq!(world.cxo(&["run", "--plan", &file, "--yes"]).code, 0);
    assert_eq!(world.cxo(&["run", "--plan", &file]).code, 3);
    let awaits = world.run().0["awaits"]["kind"].clone();
    assert_eq!(awaits, "plan");
    let config = world.repo().join(".codex-orch/config.toml");
    std::fs::write(config, "[run]\nchecks = [\"echo other\"]\n").unwrap();
    world.user_worked();
    assert_eq!(world.cxo(&["run", "--plan", &file]).code, 3);
    assert_eq!(world.run().0["awaits"]["kind"], "trust");
    world.check_unlanded();
}
