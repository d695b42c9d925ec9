//! Limits that end a process although nobody asked.

use std::time::Duration;

use cxo_agent::supervisor::{Cause, Limits};

use crate::world::{World, elapsed};

#[test]
fn a_process_that_runs_too_long_is_ended() {
    let world = World::new();
    let mut spec = world.shell("long", "while :; do echo x; sleep 0.05; done");
    spec.limits = Limits { wall_ms: 300, silence_ms: 60_000, ..Limits::default() };
    world.start(spec);
    let (exit, took) = elapsed(|| world.exit("long"));
    assert_eq!(exit.cause, Cause::WallClock);
    assert!(took >= Duration::from_millis(250), "{took:?}");
}

#[test]
fn a_process_that_falls_silent_is_ended_and_one_that_writes_is_not() {
    let world = World::new();
    let limits = Limits { silence_ms: 2000, ..Limits::default() };
    // Writes for longer than the limit, with shorter pauses, now here, now there.
    let busy =
        "for i in 1 2 3 4 5 6 7 8 9; do echo x; sleep 0.15; echo y >&2; sleep 0.15; done; exit 0";
    let mut spec = world.shell("busy", busy);
    spec.limits = limits;
    world.start(spec);
    let exit = world.exit("busy");
    assert_eq!((exit.cause, exit.code), (Cause::Itself, Some(0)));
    let mut spec = world.shell("silent", "echo x; sleep 1000");
    spec.limits = limits;
    world.start(spec);
    let (exit, took) = elapsed(|| world.exit("silent"));
    assert_eq!(exit.cause, Cause::Silence);
    assert!(took >= Duration::from_millis(1900), "{took:?}");
}

/// [G25] [C14] A process that writes without end is ended soon after its limit.
#[test]
fn a_process_that_writes_too_much_is_ended() {
    let world = World::new();
    let mut spec = world.shell("loud", "exec yes 0123456789012345678901234567890123456789");
    spec.limits = Limits { log_bytes: 1024 * 1024, ..Limits::default() };
    world.start(spec);
    let exit = world.exit("loud");
    assert_eq!(exit.cause, Cause::LogLimit);
    let bytes = world.path("loud.out").metadata().unwrap().len();
    assert!(bytes > 1024 * 1024, "{bytes}");
}

/// A limit counts what this process adds, not what was in the file before.
#[test]
fn a_log_that_goes_on_counts_from_its_start() {
    let world = World::new();
    std::fs::write(world.path("more.out"), vec![b'x'; 4096]).unwrap();
    let mut spec = world.shell("more", "echo y; exit 0");
    spec.limits = Limits { log_bytes: 1000, ..Limits::default() };
    world.start(spec);
    assert_eq!(world.exit("more").cause, Cause::Itself);
    assert_eq!(world.output("more").len(), 4098);
}
