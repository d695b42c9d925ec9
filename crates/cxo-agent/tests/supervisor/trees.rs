//! Trees that try to get away.

use std::fs;
use std::time::Duration;

use cxo_agent::supervisor::Cause;
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{Fifo, World, effect, elapsed, lives};

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

/// Forks twice, opens a session, changes its directory, closes what it was given, clears its
/// environment, and says its id on the named pipe; `first` is a line of Python that it runs before.
fn bare(up: &Fifo, first: &str) -> String {
    format!(
        "python3 -c '
import os, resource, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{first}
os.chdir(\"/\")
os.closerange(0, 3)
os.execve(\"/bin/sh\", [\"sh\", \"-c\", \"echo $$ > {up}; exec /bin/sleep 1000\"], {{}})
'",
        up = up.path.display()
    )
}

/// [G13] An orphan with no environment, session or directory of ours is ended with its own effect,
/// while others live.
#[test]
fn a_bare_orphan_is_known_by_its_effect() {
    let world = World::new();
    let [orphan, other] = ["a", "b"].map(|name| {
        let mut up = world.fifo(&format!("{name}-up"));
        world.start(world.shell(name, &format!("{}; exec sleep 1000", bare(&up, ""))));
        up.line()
    });
    assert!(lives(&orphan) && lives(&other));
    world.client().stop(&effect("a"), "test", Duration::ZERO).unwrap();
    world.exit("a");
    assert!(!lives(&orphan) && lives(&other));
    world.client().stop(&effect("b"), "test", Duration::ZERO).unwrap();
    world.exit("b");
    assert!(!lives(&other));
}

/// [G13] An orphan that got rid of every mark is ended with its only possible owner.
#[test]
fn an_orphan_without_any_mark_is_ended_too() {
    let world = World::new();
    let mut up = world.fifo("up");
    let rid = "resource.setrlimit(15, (1000000, 1000000)) # RLIMIT_RTTIME";
    let gate = world.fifo("go");
    let script = format!("{}; read x < {}; exit 0", bare(&up, rid), gate.path.display());
    world.start(world.shell("bare", &script));
    let orphan = up.line();
    fs::write(&gate.path, "now\n").unwrap();
    assert_eq!(world.exit("bare").code, Some(0));
    assert!(!lives(&orphan));
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

/// [G13] When the supervisor and the processes that it started are killed at the same moment, the
/// next one ends whatever had got away from them, with a cleared environment too.
#[test]
fn what_outlives_its_supervisor_and_its_parent_is_ended() {
    let mut world = World::new();
    let mut orphans = Vec::new();
    for name in ["a", "b"] {
        let mut up = world.fifo(&format!("{name}-up"));
        let script = format!("{}; {RUNAWAYS} exec sleep 1000", bare(&up, ""));
        world.start(world.shell(name, &script));
        orphans.push(up.line());
    }
    let (live, _) = world.list();
    // The supervisor first, so that it can do nothing about the others.
    for pid in std::iter::once(world.hello.pid).chain(live.iter().map(|each| each.pid)) {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
    world.until_gone();
    assert!(orphans.iter().all(|pid| lives(pid)), "the test needs something that is left");
    world.reconnect();
    assert!(!orphans.iter().any(|pid| lives(pid)));
    assert_eq!(world.marked(), Vec::<String>::new());
    let causes: Vec<Cause> = world.list().1.iter().map(|exit| exit.cause).collect();
    assert_eq!(causes, [Cause::Lost, Cause::Lost]);
}
