//! What somebody without the key, or with bad intentions, may send; and that nothing comes of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use cxo_protocol::client::{CallError, Client};
use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::wire::header::{Header, params_text};
use cxo_protocol::wire::{Call, Framing, MAX_REQUEST_BYTES};
use cxo_protocol::{Transport, key_file};
use rustix::process::Signal;
use serde_json::Value;

use crate::signed::{line, send};
use crate::world::World;

const STOP: &[u8] = br#"{"id":1,"method":"daemon.stop","params":{}}"#;

fn serving() -> World {
    let mut world = World::new("[run]\nchecks = []\n");
    world.start();
    world
}

/// What the daemon says to a connection that sent these bytes, up to its end.
fn last_words(world: &World, bytes: &[u8]) -> String {
    let mut connection = world.raw();
    // It may close before all is written.
    let _ = connection.get_mut().write_all(bytes);
    let mut said = String::new();
    let _ = connection.read_to_string(&mut said);
    said
}

fn code(said: &str) -> i64 {
    let value: Value = serde_json::from_str(said.trim()).unwrap();
    value["error"]["code"].as_i64().unwrap()
}

/// [A2.7] [G18] [G20] Without the handshake nothing is carried out: a request, a hello with a
/// wrong key, as somebody else or of another version is refused by name, and the daemon lives.
#[test]
fn nobody_gets_in_without_the_key() {
    let world = serving();
    let state = world.status();
    let lined = |text: &str| [text.as_bytes(), b"\n"].concat();
    let nonce = "0".repeat(64);
    let hello = |protocol: &str, principal: &str| {
        lined(&format!(
            r#"{{"type":"hello","protocol":"{protocol}","principal":"{principal}","nonce":"{nonce}"}}"#
        ))
    };
    let wrong_proof =
        [hello("1.0", "user"), lined(&format!(r#"{{"type":"proof","proof":"{nonce}"}}"#))];
    let cut_proof = [hello("1.0", "user"), lined(r#"{"type":"proof","proof":"00"}"#)];
    let mut with_length = Vec::new();
    Framing::Lengths.encode(STOP, &mut with_length).unwrap();
    for (what, bytes, expected) in [
        ("a request", [STOP, b"\n"].concat(), 401),
        ("another version", hello("0.9", "user"), 401),
        ("nobody", hello("1.0", "root"), 401),
        ("an agent without a token", hello("1.0", "agent:a"), 401),
        ("an attempt", hello("1.0", "attempt:r1.a.1"), 401),
        ("a proof first", lined(&format!(r#"{{"type":"proof","proof":"{nonce}"}}"#)), 401),
        ("garbage", lined("stop"), -32700),
    ] {
        let said = last_words(&world, &bytes);
        assert_eq!(code(&said), expected, "{what}: {said}");
    }
    for bytes in [wrong_proof.concat(), cut_proof.concat()] {
        let said = last_words(&world, &bytes);
        let refused = said.lines().nth(1).unwrap();
        assert_eq!(code(refused), 401, "{said}");
    }
    let said = last_words(&world, &with_length);
    assert!(said.contains("401"), "{said}");
    for huge in [&[0xff; 4][..], &(1_u32 << 20 | 1).to_le_bytes()] {
        assert!(last_words(&world, huge).contains("Frame too large"));
    }
    assert_eq!(world.status(), state);
}

/// [G20] A frame that was sent before is refused on its own connection, on another one and by a
/// restarted daemon; so is one that skips another, and one of the daemon's own.
#[test]
fn captured_frames_are_worth_nothing() {
    let mut world = serving();
    let status = br#"{"id":1,"method":"daemon.status","params":{}}"#;
    let refused = |connection: &mut BufReader<UnixStream>| {
        let said = line(connection);
        assert!(said.contains("\"code\":401") && said.contains("signature of frame"), "{said}");
        assert_eq!(line(connection), "", "the connection stays open");
    };
    let mut victim = world.signed();
    let frame = victim.opened.signer.sign(status);
    send(&mut victim.stream, &frame);
    let answer = line(&mut victim.stream);
    send(&mut victim.stream, &frame);
    refused(&mut victim.stream);

    for captured in [frame.as_slice(), answer.as_bytes()] {
        let mut other = world.signed();
        send(&mut other.stream, captured);
        refused(&mut other.stream);
    }
    let mut skipping = world.signed();
    skipping.opened.signer.sign(status);
    skipping.send(status);
    refused(&mut skipping.stream);

    world.signal(Signal::TERM);
    world.until_gone();
    world.start();
    let mut restarted = world.signed();
    send(&mut restarted.stream, &frame);
    refused(&mut restarted.stream);
    world.status();
}

/// [A1.6] [A1.7] Both framings and both envelopes are understood, and answered in kind.
#[test]
fn both_framings_and_envelopes_are_answered_in_kind() {
    let world = serving();
    let mut lines = world.signed();
    let plain = lines.ask(br#"{"id":"a","method":"daemon.status"}"#);
    assert_eq!((&plain["id"], &plain["error"]), (&Value::from("a"), &Value::Null));
    let rpc = lines.ask(br#"{"jsonrpc":"2.0","id":2,"method":"daemon.status"}"#);
    assert_eq!((&rpc["jsonrpc"], &rpc["result"]), (&Value::from("2.0"), &plain["result"]));
    let mut bytes = Vec::new();
    Framing::Lengths.encode(br#"{"id":1,"method":"daemon.status"}"#, &mut bytes).unwrap();
    let mut connection = world.raw();
    connection.get_mut().write_all(&bytes).unwrap();
    let mut length = [0; 4];
    connection.read_exact(&mut length).unwrap();
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    connection.read_exact(&mut body).unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["error"]["code"], 401);
}

/// [A2.4] A request that is signed by itself is carried out once.
#[test]
fn a_request_that_is_signed_by_itself_is_carried_out_once() {
    let world = serving();
    let whole = signed_by_itself(&world, 3);
    for is_first in [true, false] {
        let answer = asked(&world, &whole);
        assert_eq!(answer["error"].is_null(), is_first, "{answer}");
    }
}

/// `lock.status`, signed by itself now.
fn signed_by_itself(world: &World, nonce: u8) -> String {
    let key = key_file::read(&world.address().key_file).unwrap();
    let bare = br#"{"id":1,"method":"lock.status","params":{}}"#;
    let call = Call::read(bare).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    // Headers from before the daemon's start are not taken, and it started in this second.
    let header = Header::sign(&key, &call, params_text(bare), (now + 2, &[nonce; 16]));
    let auth = serde_json::to_string(&header).unwrap();
    format!(r#"{{"id":1,"method":"lock.status","params":{{}},"auth":{auth}}}"#)
}

fn asked(world: &World, whole: &str) -> Value {
    let mut connection = world.raw();
    send(&mut connection, whole.as_bytes());
    serde_json::from_str(&line(&mut connection)).unwrap()
}

/// [A2.4] [G17] Leases run by passing time, whatever became of the wall clock, and requests are dated
/// by the wall clock: a daemon whose leases run hours beside it takes them all the same. A clock
/// that was left before the system was started anew changes no lease.
#[test]
fn leases_and_signed_requests_run_by_their_own_clocks() {
    let mut world = serving();
    let lock = serde_json::json!({"path": "README.md", "ttl_seconds": 36_000});
    let session = serde_json::json!({"session_id": "s", "cwd": world.repo()});
    let mut client = world.client();
    client.call_by_name("session.start", &session, None).unwrap();
    client.call_by_name("lock.acquire", &lock, None).unwrap();
    drop(client);
    let file = world.socket().with_file_name("clock");
    let left = std::fs::read_to_string(&file).unwrap();
    let (boot, offset) = left.split_once(' ').unwrap();
    let offset: u64 = offset.parse().unwrap();
    let hours = |hours: u64| offset + hours * 3_600_000;
    for (nonce, clock, is_held) in [
        (1, format!("{boot} {}", hours(2)), true),
        (2, format!("another {}", hours(200)), true),
        (3, format!("{boot} {}", hours(11)), false),
    ] {
        world.kill();
        std::fs::write(&file, &clock).unwrap();
        world.start();
        let answer = asked(&world, &signed_by_itself(&world, nonce));
        assert_eq!(answer["result"]["locked"], is_held, "{clock}: {answer}");
    }
}

/// [A1.2] [A1.4] On TCP the daemon is on this machine only, says its port in a private file, and
/// `auto` finds it there; without the key nobody gets in.
#[test]
fn tcp_is_found_by_its_port_file_and_needs_the_key() {
    let mut world = World::new("[run]\nchecks = []\n");
    assert_eq!(world.start_with(&[("CXO_SERVER_TRANSPORT", "tcp")]), "ready");
    let address = world.address();
    let mode = std::fs::metadata(&address.port_file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert!(!address.socket.exists());
    assert_eq!(address.transport, Transport::Auto);
    let mut client = Client::connect(&address).unwrap();
    assert!(client.daemon().transport.starts_with("tcp:"));
    client.call::<method::DaemonStatus>(&Nothing {}).unwrap();

    let port: u16 = std::fs::read_to_string(&address.port_file).unwrap().trim().parse().unwrap();
    let mut stranger = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    stranger.get_mut().write_all(STOP).unwrap();
    stranger.get_mut().write_all(b"\n").unwrap();
    let mut said = String::new();
    stranger.read_line(&mut said).unwrap();
    assert_eq!(code(&said), 401);
    client.call::<method::DaemonStatus>(&Nothing {}).unwrap();
}

/// [A2.3] [G20] A daemon that squats the place is found out before the client proves anything.
#[test]
fn a_squatter_is_found_out() {
    let world = serving();
    let folder = tempfile::tempdir().unwrap();
    let mut address = world.address();
    address.socket = folder.path().join("s");
    address.port_file = folder.path().join("none");
    let listener = std::os::unix::net::UnixListener::bind(&address.socket).unwrap();
    let squatter = std::thread::spawn(move || {
        let mut stream = BufReader::new(listener.accept().unwrap().0);
        line(&mut stream);
        let digits = "0".repeat(64);
        send(&mut stream, format!(r#"{{"type":"challenge","protocol":"1.0","version":"0.1.0","pid":1,"transport":"uds","nonce":"{digits}","proof":"{digits}"}}"#).as_bytes());
        line(&mut stream)
    });
    assert!(matches!(Client::connect(&address), Err(CallError::Impostor(_))));
    assert_eq!(squatter.join().unwrap(), "", "the client proved itself to a squatter");
}

/// [A2.1] Replacing the key ends the connections of the old one, and the next client uses the new.
#[test]
fn a_replaced_key_ends_its_connections() {
    let world = serving();
    let old = key_file::read(&world.address().key_file).unwrap();
    let mut bystander = world.signed();
    world.client().call::<method::KeyRotate>(&Nothing {}).unwrap();
    assert_eq!(bystander.hear(), None, "it goes on with the old key");
    assert_ne!(key_file::read(&world.address().key_file).unwrap(), old);
    world.status();
}

/// [G25] Many endless lines together take no more memory than their limit each.
#[test]
fn many_endless_lines_are_cut_at_the_limit() {
    let world = serving();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let said = last_words(&world, &vec![b'x'; 16 * MAX_REQUEST_BYTES]);
                assert!(said.is_empty() || said.contains("Frame too large"), "{said}");
            });
        }
    });
    let grown = resident_kb(world.status().pid);
    assert!(grown <= 256 * 1024, "{grown} KiB");
}

/// [A2.7] An attempt's own socket lets its agent in without a key, only as that attempt, only for
/// what attempts may do, and only while the attempt goes on. Nobody else is let in, the user
/// included.
#[test]
fn an_attempt_speaks_on_its_own_socket_and_as_nobody_else() {
    let world = serving();
    for name in ["socket", "said", "gate"] {
        world.fifo(name);
    }
    let nonce = "0".repeat(64);
    let speak = format!(
        r#"
import os, socket
def talk(*lines):
    s = socket.socket(socket.AF_UNIX)
    s.connect(os.environ["CXO_SOCKET"])
    f = s.makefile("rw")
    said = []
    for line in lines:
        print(line, file=f, flush=True)
        said.append(f.readline().strip())
    return s, f, said
held, read, said = talk('{{"id":1,"method":"lock.status","params":{{}}}}', '{stop}')
said += talk('{{"type":"hello","protocol":"1.0","principal":"user","nonce":"{nonce}"}}')[2]
open(os.environ["WORLD"] + "/said", "w").write("\t".join(said) + "\n")
print("until", read.readline())
"#,
        stop = std::str::from_utf8(STOP).unwrap()
    );
    std::fs::write(world.at("tasks/speak.py"), speak).unwrap();
    world.script(
        "a",
        "echo \"$CXO_SOCKET\" > \"$WORLD/socket\"\n\
         (exec python3 \"$WORLD/tasks/speak.py\") &\n\
         read -r line < \"$WORLD/gate\"\necho a > a.txt\n",
    );
    let run = world.run(vec![crate::world::task("a", &[])]);
    let path = world.hear("socket");
    let said = world.hear("said");
    let said: Vec<&str> = said.split('\t').collect();
    let answer: Value = serde_json::from_str(said[0]).unwrap();
    assert_eq!(answer["error"], Value::Null, "{answer}");
    assert_eq!((code(said[1]), code(said[2])), (403, 403));

    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(crate::world::AT_MOST)).unwrap();
    let mut user = BufReader::new(stream);
    let _ = user.get_mut().write_all(b"{\"id\":1,\"method\":\"lock.status\",\"params\":{}}\n");
    let mut heard = String::new();
    let _ = user.read_line(&mut heard);
    assert_eq!(heard, "", "somebody else was let in");
    world.tell("gate");
    world.until_ended(&run);
    assert!(UnixStream::connect(&path).is_err());
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
