//! Processes on a terminal that the supervisor holds.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use cxo_agent::supervisor::{Cause, Limits, Message, ProcessSpec, Refusal, Stdio};
use cxo_agent::transcript::tail;
use cxo_protocol::params::TerminalSize;

use crate::ends::kill;
use crate::world::{World, effect};

const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

impl World {
    /// A shell script on a terminal.
    pub(crate) fn on_terminal(&self, name: &str, script: &str) -> ProcessSpec {
        let transcript = self.path(&format!("{name}.out"));
        ProcessSpec {
            stdio: Stdio::Terminal { transcript, size: SIZE },
            ..self.shell(name, script)
        }
    }
}

/// All three streams are the terminal, it has the size that was asked for, and `/dev/tty` is it:
/// it controls the session.
#[test]
fn a_process_has_its_terminal_for_its_own() {
    let world = World::new();
    let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo a terminal; stty size; \
                  echo the same > /dev/tty; echo on stderr >&2; exit 3";
    world.start(world.on_terminal("tty", script));
    assert_eq!(world.exit("tty").code, Some(3));
    assert_eq!(world.output("tty"), "a terminal\r\n24 80\r\nthe same\r\non stderr\r\n");
}

#[test]
fn what_is_typed_is_read_and_echoed_and_control_keys_work() {
    let world = World::new();
    world.start(world.on_terminal("reads", "read line; echo \"got $line\""));
    world.client().write_stdin(&effect("reads"), "grün\n").unwrap();
    assert_eq!(world.exit("reads").code, Some(0));
    assert_eq!(world.output("reads"), "grün\r\ngot grün\r\n");
    let mut up = world.fifo("up");
    let script = format!("echo up > {}; exec sleep 1000", up.path.display());
    world.start(world.on_terminal("interrupted", &script));
    assert_eq!(up.line(), "up");
    world.client().write_stdin(&effect("interrupted"), "\u{3}").unwrap();
    assert_eq!(world.exit("interrupted").signal, Some(2));
    world.start(world.on_terminal("all", "cat > /dev/null; echo over"));
    world.client().write_stdin(&effect("all"), "line\n\u{4}").unwrap();
    assert_eq!(world.exit("all").code, Some(0));
    assert_eq!(world.output("all"), "line\r\nover\r\n");
}

/// [G25] Nobody can fill the supervisor's memory by typing to a process that does not read.
#[test]
fn typing_to_a_process_that_does_not_read_is_refused_in_the_end() {
    let world = World::new();
    let mut up = world.fifo("up");
    let script = format!("stty raw -echo; echo up > {}; exec sleep 1000", up.path.display());
    world.start(world.on_terminal("deaf", &script));
    assert_eq!(up.line(), "up");
    let part = "x".repeat(1024 * 1024);
    for _ in 0..5 {
        world.client().write_stdin(&effect("deaf"), &part).unwrap();
    }
    assert!(matches!(world.refusal(), Refusal::StdinFull { .. }));
}

#[test]
fn a_process_hears_of_a_new_size() {
    let world = World::new();
    let mut up = world.fifo("up");
    let script = format!(
        "trap 'stty size; exit 0' WINCH; echo up > {}; sleep 1000 & wait",
        up.path.display()
    );
    world.start(world.on_terminal("sized", &script));
    assert_eq!(up.line(), "up");
    let size = TerminalSize { rows: 50, columns: 132 };
    world.client().resize(&effect("sized"), size).unwrap();
    assert_eq!(world.exit("sized").code, Some(0));
    assert_eq!(world.output("sized"), "50 132\r\n");
}

/// [G30] What is not a size, or not a terminal, is refused by name.
#[test]
fn a_wrong_size_and_a_missing_terminal_are_refused() {
    let world = World::new();
    let none = TerminalSize { rows: 0, columns: 80 };
    let huge = TerminalSize { rows: 24, columns: 1001 };
    let mut spec = world.on_terminal("bad", "exit 0");
    spec.stdio = Stdio::Terminal { transcript: world.path("bad.out"), size: none };
    world.start(spec);
    assert_eq!(world.refusal(), Refusal::BadSize { limit: 1000 });
    assert_eq!(world.list(), (vec![], vec![]));
    world.start(world.on_terminal("bad", "exec sleep 1000"));
    world.client().resize(&effect("bad"), huge).unwrap();
    assert_eq!(world.refusal(), Refusal::BadSize { limit: 1000 });
    world.client().close_stdin(&effect("bad")).unwrap();
    assert_eq!(world.refusal(), Refusal::NoPipe);
    world.start(world.shell("streams", "exec sleep 1000"));
    world.client().resize(&effect("streams"), SIZE).unwrap();
    assert_eq!(world.refusal(), Refusal::NoTerminal);
    world.client().resize(&effect("other"), SIZE).unwrap();
    assert_eq!(world.refusal(), Refusal::NotLive);
}

/// Much more than a terminal holds, printed right before the end.
#[test]
fn all_that_was_printed_is_in_the_transcript() {
    let world = World::new();
    world.start(world.on_terminal("long", "stty -opost; exec seq 1 200000"));
    assert_eq!(world.exit("long").code, Some(0));
    let numbers: Vec<String> = (1..=200_000).map(|number| number.to_string()).collect();
    let expected = numbers.join("\n") + "\n";
    assert!(world.output("long") == expected, "{} bytes", world.output("long").len());
}

/// [G24] The transcript has what was printed byte for byte; whoever reads it sees no more of a
/// title, a clipboard or a moved cursor than its text.
#[test]
fn control_sequences_are_kept_in_the_transcript_and_shown_escaped() {
    let world = World::new();
    let hostile =
        r"\033]0;own3d\007\033]52;c;cm0gLXJm\033\\\033[2J\033[1;1H\033P1;x\033\\\302\233m";
    world.start(world.on_terminal("hostile", &format!("printf '{hostile}'")));
    assert_eq!(world.exit("hostile").code, Some(0));
    let raw = fs::read(world.path("hostile.out")).unwrap();
    assert_eq!(
        raw,
        b"\x1b]0;own3d\x07\x1b]52;c;cm0gLXJm\x1b\\\x1b[2J\x1b[1;1H\x1bP1;x\x1b\\\xc2\x9bm"
    );
    let shown = tail(&world.path("hostile.out"), 4096).unwrap();
    assert_eq!(shown, r"\e]0;own3d\a\e]52;c;cm0gLXJm\e\\e[2J\e[1;1H\eP1;x\e\\x9bm");
}

/// [G13] What keeps the terminal open after the end is ended, and holds nothing up.
#[test]
fn a_child_that_keeps_the_terminal_does_not_hold_up_the_end() {
    let world = World::new();
    let script = "setsid sh -c \"trap '' HUP TERM; echo child; while :; do sleep 1000; done\" & \
                  read line; echo parent";
    world.start(world.on_terminal("parent", script));
    world.client().write_stdin(&effect("parent"), "go\n").unwrap();
    let exit = world.exit("parent");
    assert_eq!((exit.code, exit.cause), (Some(0), Cause::Itself));
    assert!(world.output("parent").contains("parent\r\n"), "{}", world.output("parent"));
    assert_eq!(world.marked(), Vec::<String>::new());
}

/// Nor does somebody else who has it open.
#[test]
fn a_stranger_who_keeps_the_terminal_does_not_hold_up_the_end() {
    let world = World::new();
    let mut name = world.fifo("name");
    let script = format!("tty > {}; read line; echo over", name.path.display());
    world.start(world.on_terminal("open", &script));
    let noctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
    let mut stranger =
        OpenOptions::new().write(true).custom_flags(noctty).open(name.line()).unwrap();
    stranger.write_all(b"a stranger\n").unwrap();
    world.client().write_stdin(&effect("open"), "\n").unwrap();
    assert_eq!(world.exit("open").code, Some(0));
    assert_eq!(world.output("open"), "a stranger\r\n\r\nover\r\n");
    assert!(stranger.write_all(b"x").is_err(), "the terminal is gone");
}

#[test]
fn a_process_may_close_its_terminal_and_open_it_again() {
    let world = World::new();
    let script = "exec 0<&- 1>&- 2>&-; echo back > /dev/tty; exit 0";
    world.start(world.on_terminal("back", script));
    assert_eq!(world.exit("back").code, Some(0));
    assert_eq!(world.output("back"), "back\r\n");
}

/// [G25] Limits hold on a terminal as in files; beyond its limit a transcript does not grow.
#[test]
fn limits_hold_on_a_terminal() {
    let world = World::new();
    let mut spec = world.on_terminal("loud", "exec yes 0123456789012345678901234567890123456789");
    spec.limits = Limits { log_bytes: 1024 * 1024, grace_ms: 100, ..Limits::default() };
    world.start(spec);
    assert_eq!(world.exit("loud").cause, Cause::LogLimit);
    let bytes = world.path("loud.out").metadata().unwrap().len();
    assert!((1024 * 1024..1024 * 1024 + 128 * 1024).contains(&bytes), "{bytes}");
    let mut spec = world.on_terminal("silent", "echo x; exec sleep 1000");
    spec.limits = Limits { silence_ms: 2000, ..Limits::default() };
    world.start(spec);
    assert_eq!(world.exit("silent").cause, Cause::Silence);
    assert_eq!(world.output("silent"), "x\r\n");
}

/// [G25] A transcript that cannot be written makes its process wait, and not the supervisor.
#[test]
fn a_full_disk_holds_up_nobody_else() {
    let world = World::new();
    let mut spec = world.on_terminal("full", "exec yes");
    spec.stdio = Stdio::Terminal { transcript: "/dev/full".into(), size: SIZE };
    spec.limits = Limits { silence_ms: 2000, ..Limits::default() };
    world.start(spec);
    world.start(world.on_terminal("other", "echo x"));
    assert_eq!(world.exit("other").code, Some(0));
    assert_eq!(world.exit("full").cause, Cause::Silence);
}

/// [G2] A daemon that dies takes no terminal with it: what is printed while none is there is in
/// the transcript, and the next daemon types on it.
#[test]
fn a_terminal_outlives_the_daemon() {
    let mut world = World::new();
    let (mut up, go) = (world.fifo("up"), world.fifo("go"));
    let script = format!(
        "read x < {go}; echo alone; echo up > {up}; read line; echo \"got $line\"",
        go = go.path.display(),
        up = up.path.display()
    );
    world.start(world.on_terminal("lives", &script));
    let Message::Started(started) = world.next() else { panic!("not started") };
    world.client = None;
    fs::write(&go.path, "now\n").unwrap();
    assert_eq!(up.line(), "up");
    world.reconnect();
    assert_eq!(world.list().0, [started]);
    world.client().write_stdin(&effect("lives"), "typed\n").unwrap();
    assert_eq!(world.exit("lives").code, Some(0));
    assert_eq!(world.output("lives"), "alone\r\ntyped\r\ngot typed\r\n");
}

/// [G2, G13] With its supervisor goes the terminal: the system tells the process, and the next
/// supervisor ends what does not listen.
#[test]
fn a_killed_supervisor_hangs_up_and_leaves_no_orphan() {
    let mut world = World::new();
    let mut up = world.fifo("up");
    let script = format!(
        "(trap '' HUP TERM; setsid sleep 1000 &); trap 'echo hung up > {up}' HUP; \
         echo up > {up}; sleep 1000 & wait; sleep 1000",
        up = up.path.display()
    );
    world.start(world.on_terminal("lives", &script));
    assert_eq!(up.line(), "up");
    kill(world.hello.pid);
    assert_eq!(up.line(), "hung up");
    world.until_gone();
    assert!(!world.marked().is_empty(), "the test needs something that is left");
    world.reconnect();
    assert_eq!(world.marked(), Vec::<String>::new());
    let (live, ended) = world.list();
    assert_eq!(live, []);
    let causes: Vec<_> = ended.iter().map(|end| (end.effect.clone(), end.cause)).collect();
    assert_eq!(causes, [(effect("lives"), Cause::Lost)]);
}
