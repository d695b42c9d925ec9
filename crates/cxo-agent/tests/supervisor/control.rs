//! Hostile and broken peers on the control socket: each the named error, and no effect. [G18]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use cxo_agent::supervisor::{Message, Refusal};

use crate::world::{World, effect, paths};

struct Raw {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Raw {
    fn new(world: &World) -> Self {
        let stream = UnixStream::connect(paths(world.dir.path()).socket).unwrap();
        stream.set_read_timeout(Some(crate::world::AT_MOST)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let mut raw = Self { stream, lines };
        assert!(matches!(raw.next(), Some(Message::Hello(_))));
        raw
    }

    fn next(&mut self) -> Option<Message> {
        let mut line = String::new();
        self.lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// The refusals until the connection is closed or `count` have come.
    fn refusals(&mut self, count: usize) -> Vec<Refusal> {
        std::iter::from_fn(|| self.next())
            .filter_map(|message| match message {
                Message::Denied { why } | Message::Refused { why, .. } => Some(why),
                Message::Hello(_)
                | Message::Started(_)
                | Message::Exited(_)
                | Message::Listing { .. } => None,
            })
            .take(count)
            .collect()
    }
}

#[test]
fn bad_lines_are_answered_by_name_and_start_nothing() {
    let world = World::new();
    let bad = [
        "",
        "\u{1b}]0;x\u{7}",
        "{}",
        "{\"reboot\":{}}",
        "{\"start\":{\"effect\":\"r1.t1.a1\"}}",
        "{\"stop\":{\"effect\":\"../../etc\",\"reason\":\"\",\"grace_ms\":0}}",
        "{\"stop\":{\"effect\":\"r1.t1\",\"reason\":\"\",\"grace_ms\":-5}}",
        "{\"stop\":{\"effect\":\"r1.t1\",\"reason\":\"\",\"grace_ms\":0,\"x\":1}}",
        "\"list\" \"list\"",
    ];
    let mut raw = Raw::new(&world);
    for line in bad {
        writeln!(raw.stream, "{line}").unwrap();
        let [Refusal::BadRequest { detail }] = &raw.refusals(1)[..] else { panic!("{line:?}") };
        assert!(!detail.is_empty() && !detail.contains(char::is_control), "{detail:?}");
    }
    // It is still served.
    writeln!(raw.stream, "\"list\"").unwrap();
    assert!(matches!(raw.next(), Some(Message::Listing { more: 0, .. })));
    let deep = "[".repeat(100_000);
    writeln!(raw.stream, "{deep}").unwrap();
    assert!(matches!(&raw.refusals(1)[..], [Refusal::BadRequest { .. }]));
    assert_eq!(world.list(), (vec![], vec![]));
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let world = World::new();
    let mut raw = Raw::new(&world);
    let mixed = (0..256 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761));
    let garbage: Vec<u8> = mixed.flat_map(u32::to_be_bytes).collect();
    // It is cut off in the middle.
    let _ = raw.stream.write_all(&garbage);
    let refusals = raw.refusals(usize::MAX);
    assert!(refusals.len() <= 16, "{}", refusals.len());
    assert!(refusals.iter().all(|why| matches!(why, Refusal::BadRequest { .. })));
    let mut raw = Raw::new(&world);
    let endless = vec![b'x'; 6 * 1024 * 1024];
    let _ = raw.stream.write_all(&endless);
    assert!(raw.refusals(1).iter().all(|why| matches!(why, Refusal::LineTooLong { .. })));
    assert_eq!(world.list(), (vec![], vec![]));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let world = World::new();
    let client = world.client();
    client.stop(&effect("other"), "x", std::time::Duration::ZERO).unwrap();
    assert_eq!(world.refusal(), Refusal::NotLive);
    client.write_stdin(&effect("other"), "x").unwrap();
    assert_eq!(world.refusal(), Refusal::NotLive);
    world.start(world.shell("nopipe", "exec sleep 1000"));
    client.write_stdin(&effect("nopipe"), "x").unwrap();
    assert_eq!(world.refusal(), Refusal::NoPipe);
    client.close_stdin(&effect("nopipe")).unwrap();
    assert_eq!(world.refusal(), Refusal::NoPipe);
    client.forget(&effect("nopipe")).unwrap();
    assert_eq!(world.list().0.len(), 1);
}

/// [G21] An agent cannot have a process started outside of its sandbox.
#[test]
fn a_supervised_process_is_not_served() {
    let world = World::new();
    let ask = "
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.makefile().read().strip())
";
    let mut spec = world.shell("asks", "");
    spec.program = "python3".into();
    let socket = paths(world.dir.path()).socket.display().to_string();
    spec.args = vec!["-c".into(), ask.into(), socket];
    world.start(spec);
    assert_eq!(world.exit("asks").code, Some(0));
    let said: Message = serde_json::from_str(&world.output("asks")).unwrap();
    assert!(matches!(said, Message::Denied { why: Refusal::NotForYou { .. } }), "{said:?}");
}

/// Starts and ends are told to everybody, answers to the one who asked.
#[test]
fn two_daemons_hear_the_same_of_processes() {
    let world = World::new();
    let mut raw = Raw::new(&world);
    world.start(world.shell("both", "exit 2"));
    assert!(matches!(raw.next(), Some(Message::Started(_))));
    assert!(matches!(raw.next(), Some(Message::Exited(exit)) if exit.code == Some(2)));
}
