//! What the provider does to agents.

use crate::plans::{plan, script, task, write};
use crate::world::{Setting, World};

fn world(fault: &str) -> World {
    let steps = format!("{}, {{ {fault} }}, {{ say = \"Done.\" }}", write("a.txt", "x\n"));
    // Silence is what ends an agent whose provider does not answer at all.
    let timeouts = "[run.timeouts]\nsilence = \"8s\"\n";
    Setting::codex(script("a", &steps)).check("true").config(timeouts).build()
}

fn run(world: &World) -> crate::following::Followed {
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    world.follow(&["run", "--plan", &file, "--yes"]).end()
}

/// [C10] A rate limit passes by itself.
#[test]
fn a_rate_limit_is_waited_out() {
    let world = world(r#"fault = "rate_limit", retry_after_s = 1, times = 1"#);
    assert_eq!(run(&world).code, 0);
    world.check(&world.run());
}

/// Errors of the provider beyond Codex's own patience: the thread is gone on with.
#[test]
fn errors_of_the_provider_are_outlived() {
    let world = world(r#"fault = "server_error", times = 4"#);
    let said = run(&world);
    assert_eq!(said.code, 0, "{:#?}", said.events);
    let run = world.run();
    assert_eq!(run.word("a"), "merged");
    world.check(&run);
}

/// A provider that never answers is noticed by silence, and the attempt is made again.
#[test]
fn a_silent_provider_is_noticed() {
    let world = world(r#"fault = "hang_before_headers", times = 1"#);
    let said = run(&world);
    assert_eq!(said.code, 0, "{:#?}", said.events);
    assert_eq!(said.count("attempt.started"), 2);
    world.check(&world.run());
}

/// Streams that break off are nothing special.
#[test]
fn broken_streams_are_outlived() {
    let world = world(r#"fault = "truncated", after_events = 2, times = 1"#);
    assert_eq!(run(&world).code, 0);
    world.check(&world.run());
}

/// [C10] [N9] A usage limit parks the task until its reset, and says until when; cancelling does
/// not wait.
#[test]
fn a_usage_limit_is_waited_for_with_its_time() {
    let world = world(r#"fault = "usage_limit", resets_in_s = 7200"#);
    let file = world.plan(&plan(&[task("a", &["a.txt"], &[])]));
    let mut run = world.follow(&["run", "--plan", &file, "--yes"]);
    let parked = run.until_task("task.parked", "a");
    let seen = world.run();
    assert_eq!(seen.word("a"), "waiting");
    assert_eq!(seen.task("a")["until"], parked["until"]);
    let shown = world.cxo(&["status", "-"]);
    assert!(shown.stdout.contains("limit"), "{}", shown.stdout);
    assert_eq!(world.cxo(&["cancel", seen.id()]).code, 0);
    assert_eq!(run.end().code, 1);
    let seen = world.run();
    assert_eq!((seen.state(), seen.word("a")), ("cancelled", "cancelled"));
    world.check(&seen);
}

/// A key that is refused needs a person, who signs in and says so.
#[test]
fn a_refused_key_needs_a_person() {
    let world = world(r#"fault = "unauthorized", times = 2"#);
    let said = run(&world);
    // Codex tries twice by itself; the second attempt goes well.
    assert!(matches!(said.code, 3 | 4), "{}", said.code);
    let seen = world.run();
    assert_eq!(seen.word("a"), "needs_you");
    assert_eq!(world.cxo(&["task", "reply", "a", "yes"]).code, 0);
    assert_eq!(world.cxo(&["wait"]).code, 0);
    world.check(&world.run());
}
