//! Trees that try to get away.

use std::time::Duration;

use cxo_agent::supervisor::{Cause, Marked, sweep_by_marker};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, effect, elapsed};

/// Each leaves something behind that ignores TERM: a double fork, a new session, nohup, and a
/// process whose environment was cleared.
const RUNAWAYS: &str = "trap '' TERM HUP
(setsid sh -c 'trap \"\" TERM; sleep 1000' &)
(nohup sh -c 'trap \"\" TERM; sleep 1000' >/dev/null 2>&1 &)
python3 -c '
import os, signal, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(1000)
'
env -i /bin/sleep 1000 &
";

/// [G13] Nothing is left after a stop, and it is told only then.
#[test]
fn a_stop_ends_everything_that_tried_to_get_away() {
    let world = World::new();
    let mut fifo = world.fifo("up");
    let script = format!("{RUNAWAYS} echo up > {}; sleep 1000", fifo.path.display());
    for name in ["a", "b"] {
        world.start(world.shell(name, &script));
    }
    assert_eq!((fifo.line(), fifo.line()), ("up".into(), "up".into()));
    assert!(world.marked().len() >= 8, "{:?}", world.marked());
    let grace = Duration::from_millis(100);
    let (exit, took) = elapsed(|| {
        world.client().stop(&effect("a"), "test", grace).unwrap();
        world.exit("a")
    });
    assert_eq!(exit.cause, Cause::Stopped);
    assert!(took >= grace && took < Duration::from_secs(2), "{took:?}");
    let left = world.marked();
    assert!(!left.is_empty(), "the other effect was ended too");
    let marker = format!("CXO_EFFECT={}", effect("a"));
    assert_eq!(crate::world::carrying(&marker), Vec::<String>::new());
    world.client().stop(&effect("b"), "test", Duration::ZERO).unwrap();
    assert_eq!(world.exit("b").signal, Some(9));
    assert_eq!(world.marked(), Vec::<String>::new());
}

/// [G13] What a process leaves behind when it ends by itself is ended before its end is told.
#[test]
fn what_is_left_behind_is_ended() {
    let world = World::new();
    world.start(world.shell("leaves", &format!("{RUNAWAYS} exit 3")));
    let exit = world.exit("leaves");
    assert_eq!((exit.code, exit.cause), (Some(3), Cause::Itself));
    assert_eq!(world.marked(), Vec::<String>::new());
}

/// [G13] An orphan with no marker and a session of its own is ended with its only possible owner.
#[test]
fn a_process_without_marker_and_session_is_ended_too() {
    let world = World::new();
    let mut fifo = world.fifo("up");
    let gate = world.fifo("go");
    let (up, go) = (fifo.path.display().to_string(), gate.path.display());
    let script = format!(
        "(env -i setsid sh -c 'trap \"\" TERM; echo $$ > {up}; echo > {go}; sleep 1000' &)
         read x < {go}; exit 0"
    );
    world.start(world.shell("bare", &script));
    let pid: i32 = fifo.line().parse().unwrap();
    assert_eq!(world.exit("bare").code, Some(0));
    assert!(kill_process(Pid::from_raw(pid).unwrap(), Signal::CONT).is_err(), "it lives");
}

/// [G13] With grace, a tree may put itself in order.
#[test]
fn a_tree_has_its_grace() {
    let world = World::new();
    let mut fifo = world.fifo("up");
    let script = format!(
        "trap 'echo in order; exit 9' TERM; echo up > {}; sleep 1000 & wait",
        fifo.path.display()
    );
    world.start(world.shell("tidy", &script));
    assert_eq!(fifo.line(), "up");
    world.client().stop(&effect("tidy"), "test", Duration::from_secs(50)).unwrap();
    let exit = world.exit("tidy");
    assert_eq!((exit.code, exit.cause), (Some(9), Cause::Stopped));
    assert_eq!(world.output("tidy"), "in order\n");
}

/// [G25] A fork bomb of bounded size, which starts anew whatever is ended, is ended.
#[test]
fn a_fork_bomb_is_ended() {
    let world = World::new();
    let mut fifo = world.fifo("up");
    let bomb = "
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for depth in range(4):
    if os.fork() == 0 and depth % 2: os.setsid()
open(sys.argv[1], 'w').write('up\\n')
end = time.time() + 30
while time.time() < end:
    if os.fork() == 0: time.sleep(0.2); os._exit(0)
    time.sleep(0.05)
";
    let mut spec = world.shell("bomb", "");
    spec.program = "python3".into();
    spec.args = vec!["-c".into(), bomb.into(), fifo.path.display().to_string()];
    world.start(spec);
    for _ in 0..16 {
        assert_eq!(fifo.line(), "up");
    }
    world.client().stop(&effect("bomb"), "test", Duration::ZERO).unwrap();
    assert_eq!(world.exit("bomb").cause, Cause::Stopped);
    assert_eq!(world.marked(), Vec::<String>::new());
}

/// [G13] For when daemon and supervisor died: the marker finds what is left, by effect too.
#[test]
fn a_sweep_by_marker_ends_what_a_dead_supervisor_left() {
    let mut world = World::new();
    let mut fifo = world.fifo("up");
    let script = format!("{RUNAWAYS} echo up > {}; sleep 1000", fifo.path.display());
    for name in ["a", "b"] {
        world.start(world.shell(name, &script));
    }
    assert_eq!((fifo.line(), fifo.line()), ("up".into(), "up".into()));
    let supervisor = Pid::from_raw(i32::try_from(world.hello.pid).unwrap()).unwrap();
    kill_process(supervisor, Signal::KILL).unwrap();
    world.until_gone();
    world.client = None;
    let id = world.hello.supervisor.clone();
    let one = sweep_by_marker(Marked::Effect { supervisor: &id, effect: &effect("a") });
    let rest = world.marked();
    assert!(one >= 4 && !rest.is_empty(), "{one} {rest:?}");
    let marker = format!("CXO_EFFECT={}", effect("a"));
    assert!(crate::world::carrying(&marker).is_empty());
    assert!(sweep_by_marker(Marked::Supervisor(&id)) >= 4);
    assert_eq!(world.marked(), Vec::<String>::new());
    assert_eq!(sweep_by_marker(Marked::Supervisor(&id)), 0);
}
