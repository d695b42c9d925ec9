//! What those who proved nothing can take of the daemon over HTTP: little, and nothing of those who
//! did.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::web::{Answered, Web, hear, signed_in};
use crate::world::World;

/// Places of connections that did not prove themselves.
const PLACES: usize = 256;

fn serving() -> (World, Web) {
    let mut world = World::new("");
    assert_eq!(world.start_with(&[("CXO_SERVER_HTTP_PORT", "0")]), "ready");
    let web = Web::of(&world);
    (world, web)
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// [G18] [G25] Callers who are not known have places of their own. When all are taken, whoever comes
/// gets that of who has had one for longest; who is known keeps theirs, and the socket serves.
#[test]
fn strangers_take_no_place_from_those_who_are_known() {
    let (world, web) = serving();
    let (_socket, token) = signed_in(&world, web);
    let mut known = Keeping::of(web, &token);
    known.is_served();
    let mut strangers: Vec<TcpStream> = (0..PLACES).map(|_| web.connect()).collect();
    assert_eq!(web.ask("GET /healthz", &[], "").status, 200, "who comes is served");
    assert_eq!(strangers[0].read(&mut [0]).unwrap(), 0, "who waited longest made room");
    let newest = strangers.last_mut().unwrap();
    newest.set_nonblocking(true).unwrap();
    let waits = newest.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(waits, Err(ErrorKind::WouldBlock), "nobody else did");
    known.is_served();
    world.status();
}

/// A connection that stays, on which one request follows the other.
struct Keeping {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Keeping {
    fn of(web: Web, token: &str) -> Self {
        let head = format!(
            "POST /rpc HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n",
            web.host()
        );
        Self { stream: BufReader::new(web.connect()), head }
    }

    fn is_served(&mut self) {
        let body = r#"{"id":1,"method":"status.get"}"#;
        let request = format!("{}Content-Length: {}\r\n\r\n{body}", self.head, body.len());
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line.trim() != "" {
            let of_length = line.to_lowercase();
            if let Some(given) = of_length.strip_prefix("content-length:") {
                length = given.trim().parse().unwrap();
            }
            line.clear();
            self.stream.read_line(&mut line).unwrap();
        }
        self.stream.read_exact(&mut vec![0; length]).unwrap();
    }
}

/// [G18] [G25] Who showed a token is known from then on: while the body is on its way nobody gets the
/// place, however many come.
#[test]
fn who_is_known_may_be_slow() {
    let (world, web) = serving();
    let (_socket, token) = signed_in(&world, web);
    let rpc = json!({"id": 1, "method": "status.get"}).to_string();
    let mcp = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for (path, body) in [("/rpc", rpc), ("/mcp", mcp)] {
        let mut slow = BufReader::new(web.connect());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
             Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            web.host(),
            body.len()
        );
        slow.get_mut().write_all(head.as_bytes()).unwrap();
        let mut said = [String::new(), String::new(), String::new()];
        slow.read_line(&mut said[0]).unwrap();
        slow.read_line(&mut said[1]).unwrap();
        assert!(said[0].starts_with("HTTP/1.1 100"), "the body is waited for: {said:?}");
        let strangers: Vec<TcpStream> = (0..2 * PLACES).map(|_| web.connect()).collect();
        assert_eq!(web.ask("GET /healthz", &[], "").status, 200, "all of them have come");
        slow.get_mut().write_all(body.as_bytes()).unwrap();
        slow.read_line(&mut said[2]).unwrap();
        assert!(said[2].starts_with("HTTP/1.1 200"), "{path}: {said:?}");
        drop(strangers);
    }
}

/// [G18] [G25] A request that does not prove whose it is ends its connection.
#[test]
fn who_proves_nothing_has_one_request() {
    let (_world, web) = serving();
    for (line, status) in [("POST /rpc", "401"), ("GET /healthz", "200"), ("GET /no", "404")] {
        let mut stream = web.connect();
        let body = r#"{"id":1,"method":"status.get"}"#;
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n", web.host());
        let more =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{more}{body}").as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let said = said.to_lowercase();
        assert!(said.contains(status) && said.contains("connection: close"), "{line}: {said}");
    }
}

/// [G25] However many strangers send long bodies and do not end them, who is known has room for one.
#[test]
fn long_bodies_of_strangers_keep_nobody_out() {
    let (world, web) = serving();
    let (_socket, token) = signed_in(&world, web);
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000000\r\n\r\n",
        web.host()
    );
    let before = resident_kb(world.status().pid);
    let mut strangers: Vec<TcpStream> = (0..64).map(|_| web.connect()).collect();
    for stranger in &mut strangers {
        stranger.write_all(head.as_bytes()).unwrap();
        stranger.write_all(&vec![b' '; 100 * 1024]).unwrap();
    }
    let long = json!({"id": 1, "method": "status.get", "params": {}}).to_string();
    let Answered { status, .. } = web.rpc(&token, &(long + &" ".repeat(500_000)));
    assert_eq!(status, 200);
    let grown = resident_kb(world.status().pid).saturating_sub(before);
    assert!(grown <= 24 * 1024, "{grown} KiB more");
    for stranger in &mut strangers {
        stranger.set_nonblocking(true).unwrap();
        let waits = stranger.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(waits, Err(ErrorKind::WouldBlock), "they were sent away meanwhile");
    }
}

/// [G18] [G25] Of a WebSocket on which nobody signed in a first message is read, of a token's size and no
/// more; one who did sends long ones.
#[test]
fn a_web_socket_of_nobody_takes_no_memory() {
    let (world, web) = serving();
    let pid = world.status().pid;
    let before = resident_kb(pid);
    let mut sockets: Vec<_> = (0..64).map(|_| web.socket()).collect();
    // A text of 1 MiB, of which a part comes.
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0x0f, 0xff, 0xff, 0, 0, 0, 0];
    let long = vec![b'x'; 64 * 1024];
    for socket in &mut sockets {
        socket.get_mut().write_all(&head).unwrap();
        socket.get_mut().set_nonblocking(true).unwrap();
        // As much as goes on the way.
        while socket.get_mut().write(&long).is_ok_and(|count| count > 0) {}
        socket.get_mut().set_nonblocking(false).unwrap();
    }
    let grown = resident_kb(world.status().pid).saturating_sub(before);
    assert!(grown <= 16 * 1024, "{grown} KiB more");
    for socket in &mut sockets {
        assert!(hear(socket).is_none(), "after the time for signing in");
    }
    assert_eq!(world.status().pid, pid);
}
