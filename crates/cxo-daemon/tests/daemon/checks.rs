//! Checks: what they may, what they cost when they end with their run, and how one that cannot run
//! is told.

use cxo_agent::sandbox::{SandboxSupport, probe};
use cxo_protocol::view::{RunWord, TaskWord};

use crate::world::{World, of, task};

/// Whether this machine can confine files at all.
pub(crate) fn can_confine() -> bool {
    match probe() {
        SandboxSupport::Landlock { .. } => true,
        SandboxSupport::None { reason } => {
            eprintln!("skipped: {reason}");
            false
        }
    }
}

/// [G22] A check writes into its workspace and nowhere else; a cache that the configuration allows
/// is writable.
#[test]
fn a_check_is_confined() {
    if !can_confine() {
        return;
    }
    let mut world = World::new("");
    std::fs::create_dir(world.at("cache")).unwrap();
    let root = world.at("").display().to_string();
    let config = format!(
        "[run]\nchecks = ['echo x > built.txt', '! echo x > {root}outside.txt', \
         '! echo x > {root}repo/README.md', 'echo x > {root}cache/entry.txt']\n\
         [workspace]\nwritable = ['{root}cache']\n"
    );
    world.configure(&config);
    world.script("a", "echo a > a.txt\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Done, "{seen:?}");
    assert!(!world.at("outside.txt").exists());
    assert!(world.at("cache/entry.txt").exists());
    world.check(&seen);
}

/// [G22] So is an agent that is a command, by default.
#[test]
fn a_command_agent_is_confined() {
    if !can_confine() {
        return;
    }
    let mut world = World::new("[run]\nchecks = []\nagent = \"caged\"\n");
    world.script(
        "a",
        "echo a > a.txt\necho x > \"$WORLD/outside.txt\" && echo out > escaped.txt\ntrue\n",
    );
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(of(&seen, "a").state, TaskWord::Merged, "{seen:?}");
    assert!(!world.at("outside.txt").exists());
    assert_eq!(world.result(&run, "a.txt"), "a");
    world.check(&seen);
}

/// [G30] A check whose program does not exist stops the run at its base, by name, before an agent
/// starts.
#[test]
fn a_missing_check_is_named_before_anything_is_spent() {
    let mut world = World::new("[run]\nchecks = [\"no-such-check --all\"]\n");
    world.script("a", "touch \"$WORLD/worked\"\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Failed);
    let said = format!("{:?} {:?}", seen.failure, seen.failing_lines);
    assert!(said.contains("no-such-check"), "{said}");
    assert!(!world.at("worked").exists());
    world.check(&seen);
}

/// [G13] A check ends with its run, and so does everything that it had started.
#[test]
fn a_check_ends_with_its_run() {
    let mut world = World::new("");
    world.fifo("home/began");
    world.fifo("home/never");
    let home = world.at("home").display().to_string();
    let config = format!(
        "[run]\nchecks = ['(read -r line < {home}/never) & echo $! > pid; echo in > {home}/began; wait']\n\
         [workspace]\nwritable = ['{home}']\n"
    );
    world.configure(&config);
    world.script("a", "true\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.hear("home/began");
    world.cancel(&run);
    let seen = world.until_ended(&run);
    assert_eq!(seen.state, RunWord::Cancelled);
    world.until_quiet();
    world.check(&seen);
}
