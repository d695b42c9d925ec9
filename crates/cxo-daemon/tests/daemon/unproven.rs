//! Bytes without number from somebody who proves nothing, and what can be made of the frames of
//! somebody who did.

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use cxo_protocol::wire::Framing;
use cxo_protocol::wire::handshake::{Credential, Greeted, Shake};
use cxo_testkit::fuzz::Changes;
use cxo_testkit::invariants::UserTree;

use crate::signed::{line, send};
use crate::web::Web;
use crate::world::World;

/// Bad frames of each grammar.
const FRAMES: usize = 10_000;
const SEED: u64 = 18;
const MAX_GROWN_KB: u64 = 8 * 1024;

const WORDS: [&str; 8] = [
    "\n",
    "\0\0\0\0",
    "{\"type\":\"hello\"",
    "\"auth\":{}",
    "\"jsonrpc\":\"2.0\"",
    "\\ud800",
    "[[[[[[",
    "\u{feff}",
];

fn serving() -> World {
    let mut world = World::new("[run]\nchecks = []\n");
    world.start();
    world
}

/// Requests that would change something, in every envelope.
fn requests() -> Vec<Vec<u8>> {
    let signed = format!(
        r#"{{"id":1,"method":"daemon.stop","params":{{}},"auth":{{"timestamp":1,"nonce":"AAAAAAAAAAAAAAAAAAAAAA==","signature":"{}="}}}}"#,
        "A".repeat(43)
    );
    [
        r#"{"id":1,"method":"daemon.stop","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"a","method":"key.rotate","params":{}}"#,
        r#"{"id":2,"idem_key":"k","method":"lock.acquire","params":{"path":"README.md"}}"#,
        r#"{"jsonrpc":"2.0","method":"session.start","params":{"session_id":"s","cwd":"/"}}"#,
        &signed,
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// The first two frames of somebody without the key.
fn handshakes() -> Vec<Vec<u8>> {
    let digits = "0".repeat(64);
    let hello = |who: &str, more: &str| {
        format!(
            r#"{{"type":"hello","protocol":"1.0","principal":"{who}","nonce":"{digits}"{more}}}"#
        )
    };
    let proof = |more: &str| format!(r#"{{"type":"proof","proof":"{digits}"{more}}}"#);
    let token = format!(r#","token":"{digits}""#);
    [
        hello("user", "") + "\n" + &proof("") + "\n",
        hello("gui", "") + "\n" + &proof(&token) + "\n",
        hello("agent:one", r#","token":"0123456789abcdef""#) + "\n" + &proof(&token) + "\n",
        hello("attempt:r1.a.1", "") + "\n",
        hello("user", "")
            + &format!(
                "\n{{\"mac\":\"{digits}\",\"body\":{{\"id\":1,\"method\":\"daemon.stop\"}}}}\n"
            ),
    ]
    .map(String::into_bytes)
    .to_vec()
}

fn framed(framing: Framing, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let frame = |body: &Vec<u8>| {
        let mut bytes = Vec::new();
        framing.encode(body, &mut bytes).unwrap();
        bytes
    };
    bodies.iter().map(frame).collect()
}

/// Everything that the daemon keeps, byte by byte.
fn kept(world: &World) -> (Vec<(PathBuf, Vec<u8>)>, UserTree) {
    let state = ["state.db", "state.db-wal", "supervisor/journal", "daemon.lock", "id"];
    let mut paths: Vec<PathBuf> = state.iter().map(|name| world.state().join(name)).collect();
    paths.push(world.address().key_file);
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    };
    (paths.into_iter().map(read).collect(), UserTree::of(&world.repo()).unwrap())
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What came back of these bytes on a connection of their own, up to its end.
fn exchanged<S: Read + Write>(mut stream: S, input: &[u8], shut: impl Fn(&S)) -> String {
    // It may close before all is written.
    let _ = stream.write_all(input);
    shut(&stream);
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

fn by_socket(world: &World, input: &[u8]) -> String {
    let stream = UnixStream::connect(world.socket()).unwrap();
    exchanged(stream, input, |stream| drop(stream.shutdown(Shutdown::Write)))
}

/// Sends changes of these to a daemon, each on a connection of its own.
fn flood(world: &World, good: Vec<Vec<u8>>, send: impl Fn(&[u8]) -> String) {
    let status = world.status();
    let (before, memory) = (kept(world), resident_kb(status.pid));
    let mut answered = 0;
    for input in Changes::of(good, &WORDS, SEED).take(FRAMES) {
        let said = send(&input);
        let is_in = ["welcome", "\"error\":null", "\"result\":{"].iter().any(|w| said.contains(w));
        assert!(!is_in, "{said} to {}", String::from_utf8_lossy(&input));
        answered += usize::from(said.contains("\"code\":") || said.starts_with("HTTP/1.1 4"));
    }
    assert!(answered > FRAMES / 4, "only {answered} came as far as to be refused");
    let grown = resident_kb(status.pid).saturating_sub(memory);
    assert!(grown <= MAX_GROWN_KB, "{grown} KiB more");
    assert_eq!(kept(world), before);
    assert_eq!(world.status(), status);
    assert!(!world.log().contains("panicked"));
}

/// [G18] [G25] Ten thousand bad lines of nobody: no effect, no memory, and whoever holds the key
/// is served.
#[test]
fn bad_lines_have_no_effect() {
    let world = serving();
    flood(&world, framed(Framing::Lines, &requests()), |input| by_socket(&world, input));
}

/// [G18] [G25] The same with lengths.
#[test]
fn bad_lengths_have_no_effect() {
    let world = serving();
    flood(&world, framed(Framing::Lengths, &requests()), |input| by_socket(&world, input));
}

/// [G18] [G25] The same with handshakes.
#[test]
fn bad_handshakes_have_no_effect() {
    let world = serving();
    flood(&world, handshakes(), |input| by_socket(&world, input));
}

/// Requests of somebody without a token, on every path that acts.
fn http_requests(web: Web) -> Vec<Vec<u8>> {
    let host = web.host();
    let token = "0".repeat(64);
    let post = |path: &str, headers: &str, body: &[u8]| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let mut good: Vec<Vec<u8>> = requests().iter().map(|body| post("/rpc", "", body)).collect();
    good.push(post("/rpc", &bearer, &requests()[0]));
    let accept = "Accept: application/json, text/event-stream\r\n";
    let tool = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lock.acquire","arguments":{"path":"README.md"}}}"#;
    good.push(post("/mcp", accept, tool));
    good.push(post("/mcp", &format!("{accept}{bearer}"), tool));
    good.push(
        format!("GET /events?topics=*&since=0 HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n").into(),
    );
    let socket = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    let first = format!(r#"{{"type":"bearer","token":"{token}"}}"#);
    let length = u8::try_from(first.len()).unwrap();
    // A text, masked with nothing.
    let frame = [&[0x81, 0x80 | length, 0, 0, 0, 0], first.as_bytes()].concat();
    good.push([socket.as_bytes(), &frame].concat());
    good
}

/// [G18] [G25] The same over HTTP: requests, streams of events, web sockets.
#[test]
fn bad_http_has_no_effect() {
    let mut world = World::new("[run]\nchecks = []\n");
    assert_eq!(world.start_with(&[("CXO_SERVER_HTTP_PORT", "0")]), "ready");
    let web = Web::of(&world);
    flood(&world, http_requests(web), |input| {
        exchanged(web.connect(), input, |stream| drop(stream.shutdown(Shutdown::Write)))
    });
}

/// Two requests that are captured.
const BODIES: [&[u8]; 2] =
    [br#"{"id":1,"method":"daemon.status"}"#, br#"{"id":2,"method":"daemon.stop"}"#];

/// Sends what is made of the first two frames of a connection, in the place of the first.
fn refused(world: &World, what: &str, forge: impl Fn(&[u8], &[u8]) -> Vec<u8>) {
    let mut victim = world.signed();
    let [one, two] = BODIES.map(|body| victim.opened.signer.sign(body));
    send(&mut victim.stream, &forge(&one, &two));
    let said = line(&mut victim.stream);
    assert!(said.contains("\"code\":401"), "{what}: {said}");
    let mut rest = String::new();
    let _ = victim.stream.read_to_string(&mut rest);
    assert_eq!(rest, "", "{what}: it stays open");
}

/// [G20] What is made of an open connection's own frames, or taken from another one, is refused,
/// and the connection ends: a bit flipped in any byte, frames exchanged, put together anew, made
/// longer or shorter.
#[test]
fn forged_frames_are_refused_and_end_the_connection() {
    let world = serving();
    let mut other = world.signed();
    let foreign = other.opened.signer.sign(BODIES[0]);
    let length = foreign.len();
    let body_at = length - BODIES[0].len() - 1;
    for at in 0..length {
        refused(&world, "flipped", |one, _| {
            let mut changed = one.to_vec();
            changed[at] ^= 1 << (at % 8);
            changed
        });
    }
    refused(&world, "reordered", |_, two| two.to_vec());
    refused(&world, "another connection's", |_, _| foreign.clone());
    refused(&world, "another body", |one, two| [&one[..body_at], &two[body_at..]].concat());
    refused(&world, "another signature", |one, two| [&two[..body_at], &one[body_at..]].concat());
    for cut in [1, 5, 12] {
        let tail = length - cut;
        refused(&world, "spliced", |one, two| [&one[..tail], &two[two.len() - cut - 1..]].concat());
    }
    for tail in [&b" "[..], b",\"x\":1}", b"\x80\0\0\0\0\0\0\0\x68", b"{}"] {
        refused(&world, "longer", |one, _| [&one[..length - 1], tail, b"}"].concat());
    }
    refused(&world, "shorter", |one, _| [&one[..length - 3], b"}}"].concat());
    assert_eq!(world.status().open_runs, 0);
}

/// [A2.3] [G20] The handshake of somebody who came in is worth nothing a second time.
#[test]
fn a_captured_handshake_opens_nothing() {
    let world = serving();
    let (mut eavesdropped, said) = (Vec::new(), world.address());
    let key = cxo_protocol::key_file::read(&said.key_file).unwrap();
    let mut first: BufReader<UnixStream> = world.raw();
    let (greeted, hello) = Greeted::new("user", Credential::Key(key), [5; 32], "uds".to_owned());
    eavesdropped.push(serde_json::to_vec(&Shake::Hello(hello)).unwrap());
    send(&mut first, &eavesdropped[0]);
    let Ok(Shake::Challenge(challenge)) = serde_json::from_str(&line(&mut first)) else {
        panic!("no challenge")
    };
    let (_, proof) = greeted.open(&challenge).unwrap();
    eavesdropped.push(serde_json::to_vec(&Shake::Proof(proof)).unwrap());
    send(&mut first, &eavesdropped[1]);
    assert!(line(&mut first).contains("welcome"));

    let mut second = world.raw();
    send(&mut second, &eavesdropped[0]);
    assert!(line(&mut second).contains("challenge"));
    send(&mut second, &eavesdropped[1]);
    let said = line(&mut second);
    assert!(said.contains("\"code\":401"), "{said}");
    assert_eq!(line(&mut second), "");
}
