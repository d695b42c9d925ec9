//! Command agents that work on a terminal of their own.

use std::fs;
use std::path::PathBuf;

use cxo_protocol::methods::method;
use cxo_protocol::params::{FilesOf, TerminalSize};
use cxo_protocol::view::TaskWord;
use cxo_protocol::{PlanTask, RunId};

use crate::world::{World, task};

/// Both agents of the world have terminals; one is in the sandbox.
const ON_TERMINALS: &str = "[run]\nchecks = [\"test -e README.md\"]\nretries = 0\n\
    [agents.shell]\nterminal = true\n[agents.caged]\nterminal = true\n";

fn caged(id: &str) -> PlanTask {
    PlanTask { agent: Some("caged".to_owned()), ..task(id, &[]) }
}

fn transcript(world: &World, run: &RunId) -> PathBuf {
    let attempt = world.see(run).tasks[0].attempt.clone().unwrap();
    world.state().join(format!("jobs/{run}/effects/{attempt}/stdout.log"))
}

/// [B5.1] An agent that works only on a terminal, and in the sandbox, does its task on one, which
/// has a size and is the one of its session.
#[test]
fn an_agent_on_a_terminal_finishes_a_task_that_lands() {
    let mut world = World::new(ON_TERMINALS);
    world.script(
        "a",
        "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] || exit 7\necho works > /dev/tty\n\
         { stty size; echo \"$TERM\"; } > a.txt\n",
    );
    world.start();
    let run = world.run(vec![caged("a")]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.tasks[0].state, TaskWord::Merged, "{seen:?}");
    assert_eq!(world.result(&run, "a.txt"), "40 120\nxterm-256color");
    assert_eq!(fs::read_to_string(transcript(&world, &run)).unwrap(), "works\r\n");
    // Whoever shows the screen is told how large it is.
    let of = FilesOf { run: run.to_string(), task: Some("a".to_owned()) };
    let files = world.client().call::<method::RunLogs>(&of).unwrap().files;
    let sizes: Vec<_> = files.iter().filter_map(|file| file.terminal).collect();
    assert_eq!(sizes, [TerminalSize { rows: 40, columns: 120 }]);
    world.check(&seen);
}

/// [G1] [G2] A killed daemon takes no terminal with it. What the agent prints while none is there
/// is in the transcript, and the next daemon takes the agent up.
#[test]
fn a_killed_daemons_terminal_is_taken_up() {
    let mut world = World::new(ON_TERMINALS);
    for name in ["began", "go", "alone", "end"] {
        world.fifo(name);
    }
    world.script(
        "a",
        "echo before\necho in > \"$WORLD/began\"\nread -r line < \"$WORLD/go\"\necho alone\n\
         echo in > \"$WORLD/alone\"\nread -r line < \"$WORLD/end\"\n[ -t 1 ] && echo after\n\
         echo a > a.txt\n",
    );
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.hear("began");
    world.kill();
    world.tell("go");
    world.hear("alone");
    world.start();
    world.tell("end");
    let seen = world.until_ended(&run);
    assert_eq!((seen.tasks[0].state, seen.tasks[0].attempts), (TaskWord::Merged, 1), "{seen:?}");
    let printed = fs::read_to_string(transcript(&world, &run)).unwrap();
    assert_eq!(printed, "before\r\nalone\r\nafter\r\n");
    world.check(&seen);
}

/// [G24] Why an agent failed is told in the words that it printed last, in which a title or a
/// clipboard is only text.
#[test]
fn what_a_failed_agent_printed_on_its_terminal_is_told_escaped() {
    let mut world = World::new(ON_TERMINALS);
    world
        .script("a", "printf '\\033]0;own3d\\007\\033]52;c;cm0=\\007\\033[2Jno luck\\n'\nexit 3\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    let seen = world.until_ended(&run);
    assert_eq!(seen.tasks[0].state, TaskWord::Failed, "{seen:?}");
    let why = seen.tasks[0].detail.clone().unwrap();
    assert!(why.contains(r"\e]0;own3d\a\e]52;c;cm0=\a\e[2Jno luck"), "{why:?}");
    assert!(!why.contains(|c: char| c.is_control() && c != '\n'), "{why:?}");
    world.check(&seen);
}
