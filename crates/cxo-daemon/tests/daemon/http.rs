//! HTTP as programs use it: requests, events and web sockets, who is let in, and what is cut off.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use cxo_protocol::client::CallError;
use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use cxo_protocol::wire::header::{Header, params_text};
use cxo_protocol::wire::{Call, MAX_REQUEST_BYTES};
use cxo_protocol::{Code, key_file};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::web::{Web, code, hear, say, signed_in};
use crate::world::World;

fn serving() -> (World, Web) {
    serving_with(&[])
}

fn serving_with(more: &[(&str, &str)]) -> (World, Web) {
    let mut world = World::new("");
    let all: Vec<_> = [("CXO_SERVER_HTTP_PORT", "0")].iter().chain(more).copied().collect();
    assert_eq!(world.start_with(&all), "ready");
    let web = Web::of(&world);
    (world, web)
}

/// Registers an agent and answers its token.
fn agent(world: &World, id: &str) -> String {
    let params = json!({"agent_id": id, "agent_type": "codex"});
    let answer = world.client().call_by_name("agent.register", &params, None).unwrap();
    answer["token"].as_str().unwrap().to_owned()
}

/// A request of the user's, signed by itself as the first of this minute or with another nonce.
fn signed(world: &World, body: &str, nonce: u8) -> String {
    let key = key_file::read(&world.address().key_file).unwrap();
    let call = Call::read(body.as_bytes()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // One that was made in the second of the daemon's start counts as one of the daemon before.
    let at = (now.as_secs() + 5, &[nonce; 16][..]);
    let header = Header::sign(&key, &call, params_text(body.as_bytes()), at);
    let mut whole: Value = serde_json::from_str(body).unwrap();
    whole["auth"] = serde_json::to_value(header).unwrap();
    whole.to_string()
}

/// [A1.7] [A2.4] [A2.5] A request over HTTP is the request of the socket: in both envelopes, by an
/// agent's token, a browser's token or a signature, with a status that says what the error says.
#[test]
fn a_request_is_answered_with_the_status_that_fits() {
    let (world, web) = serving();
    let token = agent(&world, "a1");
    let (_socket, gui) = signed_in(&world, web);
    let rpc = |token: &str, body: &str| {
        let answered = web.rpc(token, body);
        (answered.status, answered.json())
    };
    let (status, answer) = rpc(&token, r#"{"id":"x","method":"agent.list"}"#);
    assert_eq!((status, &answer["id"], &answer["error"]), (200, &json!("x"), &Value::Null));
    let (status, answer) = rpc(&gui, r#"{"jsonrpc":"2.0","id":2,"method":"run.status"}"#);
    assert_eq!((status, &answer["jsonrpc"]), (200, &json!("2.0")));
    assert_eq!(answer["result"]["runs"], json!([]));
    let own = r#"{"id":1,"method":"agent.heartbeat","params":{"agent_id":"a1"}}"#;
    assert_eq!(rpc(&token, own).0, 200);
    for (by, body, wanted, code) in [
        (&token, r#"{"id":1,"method":"run.status"}"#, 403, json!(403)),
        (&token, &own.replace("a1", "a2"), 403, json!(403)),
        (&gui, r#"{"id":1,"method":"no.such"}"#, 404, json!(-32601)),
        (&gui, r#"{"id":1,"method":"run.status","params":{"run":"r0000"}}"#, 404, json!(404)),
        (&gui, r#"{"id":1,"method":"agent.heartbeat","params":{}}"#, 400, json!(-32602)),
        (&gui, "{", 400, json!(-32700)),
        (&gui, r#"[{"id":1,"method":"status.get"}]"#, 400, json!(-32600)),
        (&gui, r#"{"id":1,"method":"lock.acquire","params":{"path":"a"}}"#, 422, json!(422)),
        (
            &gui,
            r#"{"id":1,"method":"pubsub.subscribe","params":{"topics":["*"]}}"#,
            400,
            json!(-32602),
        ),
        (&"0".repeat(64), r#"{"id":1,"method":"status.get"}"#, 401, json!(401)),
        (&"x".to_owned(), r#"{"id":1,"method":"status.get"}"#, 401, json!(401)),
    ] {
        let (status, answer) = rpc(by, body);
        assert_eq!((status, &answer["error"]["code"]), (wanted, &code), "{body}: {answer}");
        assert!(answer["error"]["data"]["next"][0].is_string(), "{answer}");
    }
    let json_type = ("Content-Type", "application/json");
    let once = signed(&world, r#"{"id":1,"method":"daemon.status"}"#, 7);
    assert_eq!(web.ask("POST /rpc", &[json_type], &once).status, 200);
    assert_eq!(web.ask("POST /rpc", &[json_type], &once).status, 401, "a second time");
    let changed =
        signed(&world, r#"{"id":1,"method":"daemon.status"}"#, 8).replace("status", "stop");
    assert_eq!(web.ask("POST /rpc", &[json_type], &changed).status, 401);
    let both = signed(&world, r#"{"id":1,"method":"daemon.status"}"#, 9);
    assert_eq!(web.rpc(&gui, &both).status, 400, "two callers");
    assert_eq!(web.ask("POST /rpc", &[json_type], r#"{"id":1,"method":"status.get"}"#).status, 401);
}

/// [A6.2] A request with a key is carried out once, over whichever way it comes again.
#[test]
fn a_key_counts_over_every_way_in() {
    let (world, web) = serving();
    let token = agent(&world, "a1");
    let report = |tokens: u64| {
        json!({"id": 1, "idem_key": "k", "method": "tokens.reportUsage",
               "params": {"agent_id": "a1", "tokens_used": tokens}})
        .to_string()
    };
    let first = web.rpc(&token, &report(700));
    assert_eq!(web.rpc(&token, &report(700)).body, first.body);
    assert_eq!(web.rpc(&token, &report(701)).status, 409);
    let budget = world.client().call::<method::TokensGetBudget>(&Nothing {}).unwrap();
    assert_eq!(budget.used, 700);
}

/// [G19] [G23] A token in an address is not taken, neither is one that is sent twice or by another
/// scheme; and it is in no log.
#[test]
fn a_token_stands_in_one_place_only() {
    let (world, web) = serving();
    let token = agent(&world, "a1");
    let json_type = ("Content-Type", "application/json");
    let body = r#"{"id":1,"method":"agent.list"}"#;
    for query in ["token", "access_token", "bearer", "topics=*&token"] {
        for path in ["/rpc", "/events"] {
            let verb = if path == "/rpc" { "POST" } else { "GET" };
            let answered = web.ask(&format!("{verb} {path}?{query}={token}"), &[json_type], body);
            assert!(matches!(answered.status, 400 | 401), "{query}: {answered:?}");
        }
    }
    let bearer = format!("Bearer {token}");
    let events =
        web.ask(&format!("GET /events?topics=*&token={token}"), &[("Authorization", &bearer)], "");
    assert_eq!(events.status, 400, "{events:?}");
    let twice = [json_type, ("Authorization", &bearer), ("Authorization", &bearer)];
    assert_eq!(web.ask("POST /rpc", &twice, body).status, 400);
    for other in [format!("Basic {token}"), token.clone(), format!("Bearer  {token}x")] {
        let answered = web.ask("POST /rpc", &[json_type, ("Authorization", &other)], body);
        assert_eq!(answered.status, 401, "{other}");
    }
    assert!(!world.log().contains(&token));
}

/// [A1.6] [G25] A body is refused as soon as it is known to be too large, said or not; a head that is
/// too large, or does not come, ends the connection.
#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let (world, web) = serving();
    let token = agent(&world, "a1");
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {token}\r\nConnection: close\r\n",
        web.host()
    );
    let said = format!("{head}Content-Length: {}\r\n\r\n", MAX_REQUEST_BYTES + 1);
    assert_eq!(web.raw(said.as_bytes()).status, 413);
    let mut unsaid = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..17 {
        unsaid.extend_from_slice(b"10000\r\n");
        unsaid.extend_from_slice(&b" ".repeat(0x1_0000));
        unsaid.extend_from_slice(b"\r\n");
    }
    assert_eq!(web.raw(&unsaid).status, 413);
    let long = format!("{head}X-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    assert_eq!(web.raw(long.as_bytes()).status, 431);
    let many = format!("{head}{}\r\n", "X-Many: x\r\n".repeat(100));
    assert_eq!(web.raw(many.as_bytes()).status, 431);
    // Half a head, and then nothing: it is the daemon that ends it.
    let mut slow = web.connect();
    slow.write_all(head.as_bytes()).unwrap();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert_eq!(world.status().pid, world.status().pid, "it serves");
}

/// The stream of events of a reader.
struct Stream(BufReader<TcpStream>);

impl Stream {
    fn open(web: Web, token: &str, query: &str, last: Option<&str>) -> Self {
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let mut stream = web.connect();
        let head = format!(
            "GET /events?{query} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{last}\r\n",
            web.host()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let mut begun = Self(stream);
        let (kind, _, _) = begun.next().expect("the stream begins");
        assert_eq!(kind, "subscribed");
        begun
    }

    /// The kind, the id and the data of the next event; nothing at the end.
    fn next(&mut self) -> Option<(String, String, Value)> {
        let (mut kind, mut id, mut data) = (String::from("message"), String::new(), Value::Null);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("event", given)) => given.clone_into(&mut kind),
                Some(("id", given)) => given.clone_into(&mut id),
                Some(("data", given)) => data = serde_json::from_str(given).unwrap(),
                // The end of an event, where there was one: chunks have lines of their own.
                None if line.is_empty() && !data.is_null() => return Some((kind, id, data)),
                Some(_) | None => {}
            }
        }
    }
}

/// [A4.1] [A4.2] Events come as they are told; who comes back with the id of the last one gets every
/// later one, once, in the same order.
#[test]
fn a_reader_that_comes_back_gets_every_event_once() {
    let (world, web) = serving();
    let (_socket, token) = signed_in(&world, web);
    let report = |tokens: u64| {
        let params = json!({"agent_id": "a1", "tokens_used": tokens});
        world.client().call_by_name("tokens.reportUsage", &params, None).unwrap();
    };
    let mut live = Stream::open(web, &token, "topics=tokens.updated,agent.*", None);
    agent(&world, "a1");
    let (_, first, data) = live.next().unwrap();
    assert_eq!((&data["topic"], &data["data"]["agent_id"]), (&json!("agent.status"), &json!("a1")));
    report(1);
    let (_, second, data) = live.next().unwrap();
    assert_eq!(data["data"]["tokens"], 1);
    drop(live);
    for tokens in 2..40 {
        report(tokens);
    }
    let used = |stream: &mut Stream, upto: u64| {
        let mut told = Vec::new();
        while told.last() != Some(&upto) {
            let (kind, _, data) = stream.next().expect("more events");
            if kind == "message" && data["data"]["action"] == "used" {
                told.push(data["data"]["tokens"].as_u64().unwrap());
            }
        }
        told
    };
    let topics = "topics=tokens.updated";
    let mut again = Stream::open(web, &token, topics, Some(&second));
    assert_eq!(used(&mut again, 39), (2..40).collect::<Vec<_>>());
    let (kind, _, _) = again.next().unwrap();
    assert_eq!(kind, "caughtUp");
    report(40);
    assert_eq!(used(&mut again, 40), [40], "and what comes then");
    let mut before = Stream::open(web, &token, topics, Some(&first));
    assert_eq!(used(&mut before, 40), (1..=40).collect::<Vec<_>>());
    let mut all = Stream::open(web, &token, "topics=tokens.updated&since=0", None);
    assert_eq!(used(&mut all, 40), (1..=40).collect::<Vec<_>>());
}

/// [A4.2] A landing tells two events at one position: who had the first of them gets the second, and
/// not the first again.
#[test]
fn an_id_tells_events_of_one_position_apart() {
    let (world, web) = serving();
    world.script("t1", "echo one > t1.txt\n");
    let run = world.run(vec![crate::world::task("t1", &[])]);
    world.until_ended(&run);
    let (_socket, token) = signed_in(&world, web);
    let query = "topics=merge.changed,task.completed&since=0";
    let mut stream = Stream::open(web, &token, query, None);
    let mut told = Vec::new();
    loop {
        let (kind, id, data) = stream.next().unwrap();
        if kind == "caughtUp" {
            break;
        }
        told.push((id, data));
    }
    let (position, _) = told
        .iter()
        .find_map(|(id, _)| id.split_once('.').filter(|(_, n)| *n == "2"))
        .expect("two events at one position");
    let at = told.iter().position(|(id, _)| *id == format!("{position}.1")).unwrap();
    let mut again = Stream::open(web, &token, query, Some(&told[at].0));
    for (id, data) in &told[at + 1..] {
        let (_, again_id, again_data) = again.next().unwrap();
        assert_eq!((&again_id, &again_data), (id, data));
    }
    assert_eq!(again.next().unwrap().0, "caughtUp");
}

/// [A2.5] [A4.2] What is asked for wrongly is refused by name; a stream ends with the right of its
/// reader.
#[test]
fn a_stream_ends_with_its_readers_right() {
    let (world, web) = serving();
    let (mut socket, token) = signed_in(&world, web);
    let bearer = format!("Bearer {token}");
    for (query, last) in [
        ("", ""),
        ("topics=", ""),
        ("topics=no.such", ""),
        ("topics=*&since=-1", ""),
        ("topics=*&since=1&since=2", ""),
        ("topics=*&other=1", ""),
        ("topics=*", "x"),
        ("topics=*", "-1.1"),
    ] {
        let headers = [("Authorization", bearer.as_str()), ("Last-Event-ID", last)];
        let answered = web.ask(&format!("GET /events?{query}"), &headers, "");
        assert_eq!(answered.status, 400, "{query} {last}: {answered:?}");
    }
    let mut stream = Stream::open(web, &token, "topics=*", None);
    say(&mut socket, &json!({"id": 1, "method": "status.get"}));
    assert!(hear(&mut socket).unwrap()["result"].is_object());
    world.client().call_by_name("key.rotate", &json!({}), None).unwrap();
    while stream.next().is_some() {}
    assert!(hear(&mut socket).is_none(), "the socket ends, too");
    assert_eq!(web.rpc(&token, r#"{"id":1,"method":"status.get"}"#).status, 401);
}

/// [A2.5] [G19] A code signs a browser in once; the token that it became does so again and again.
/// Whoever comes second is refused and told so.
#[test]
fn a_code_signs_a_browser_in_once() {
    let (world, web) = serving();
    let code = code(&world);
    let mut first = web.socket();
    say(&mut first, &json!({"type": "code", "code": code}));
    let welcome = hear(&mut first).unwrap();
    let token = welcome["token"].as_str().unwrap().to_owned();
    assert!(welcome["expires_at"].as_u64().unwrap() > 0);
    let refused = |message: Value| {
        let mut socket = web.socket();
        say(&mut socket, &message);
        let refused = hear(&mut socket).unwrap();
        assert_eq!((&refused["type"], &refused["error"]["code"]), (&json!("refused"), &json!(401)));
        assert!(hear(&mut socket).is_none(), "it is closed");
        refused["error"]["data"]["why"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(json!({"type": "code", "code": code})), "the code was used before");
    assert_eq!(refused(json!({"type": "code", "code": "0".repeat(64)})), "the code is not known");
    assert_eq!(
        refused(json!({"type": "bearer", "token": code})),
        "the token is not worth anything"
    );
    refused(json!({"id": 1, "method": "daemon.stop"}));
    refused(json!({"type": "hello", "protocol": "1.0", "principal": "user", "nonce": "00"}));
    for _ in 0..2 {
        let mut again = web.socket();
        say(&mut again, &json!({"type": "bearer", "token": token}));
        assert_eq!(hear(&mut again).unwrap(), json!({"type": "welcome"}));
    }
    assert!(!world.log().contains(&code) && !world.log().contains(&token));
    assert!(world.log().contains("a sign-in code came a second time"));
}

/// [A2.5] [G23] Only the socket's user makes links: a browser that was signed in by one does not stay by
/// making another. A link is told once, and no key brings it back.
#[test]
fn a_link_is_made_by_the_key_only_and_told_once() {
    let (world, web) = serving();
    let (_socket, token) = signed_in(&world, web);
    let denied = web.rpc(&token, r#"{"id":1,"method":"dashboard.link"}"#);
    assert_eq!(denied.status, 403, "{denied:?}");
    let mut user = world.client();
    let mut link = || user.call_by_name("dashboard.link", &json!({}), Some("k")).unwrap();
    assert_ne!(link()["url"], link()["url"]);
}

/// [A1.7] [A4.1] A WebSocket carries what a Unix socket does: requests in both envelopes, their
/// answers, and events that are pushed meanwhile.
#[test]
fn a_web_socket_is_the_same_connection() {
    let (world, web) = serving();
    let (mut socket, _) = signed_in(&world, web);
    say(
        &mut socket,
        &json!({"id": 1, "method": "pubsub.subscribe", "params": {"topics": ["lock.*"]}}),
    );
    assert_eq!(hear(&mut socket).unwrap()["result"]["success"], true);
    let session = json!({"session_id": "s", "cwd": world.repo()});
    say(
        &mut socket,
        &json!({"jsonrpc": "2.0", "id": 2, "method": "session.start", "params": session}),
    );
    assert_eq!(hear(&mut socket).unwrap()["jsonrpc"], "2.0");
    say(&mut socket, &json!({"id": 3, "method": "lock.acquire", "params": {"path": "a.txt"}}));
    let (mut answered, mut pushed) = (Value::Null, Value::Null);
    while answered.is_null() || pushed.is_null() {
        let said = hear(&mut socket).unwrap();
        if said["id"] == 3 { answered = said } else { pushed = said }
    }
    assert_eq!(answered["result"]["success"], true);
    assert_eq!((&pushed["method"], &pushed["jsonrpc"]), (&json!("pubsub.event"), &Value::Null));
    assert_eq!(pushed["params"]["data"]["fence"], answered["result"]["fence"]);
    // More than a pipe holds at once, in a message that has line breaks.
    let long = "x".repeat(300_000);
    let write =
        json!({"id": 4, "method": "fs.write", "params": {"path": "long.txt", "content": long}});
    socket.send(Message::text(serde_json::to_string_pretty(&write).unwrap())).unwrap();
    while hear(&mut socket).unwrap()["id"] != 4 {}
    say(&mut socket, &json!({"id": 5, "method": "fs.read", "params": {"path": "long.txt"}}));
    assert_eq!(hear(&mut socket).unwrap()["result"]["content"], long);
}

/// [G18] A WebSocket that says nothing, or what is no text, or too much, is closed.
#[test]
fn a_web_socket_that_misbehaves_is_closed() {
    let (world, web) = serving();
    let mut silent = web.socket();
    let mut binary = web.socket();
    binary.send(Message::binary(b"{}".to_vec())).unwrap();
    assert!(hear(&mut binary).is_none());
    let (mut large, _) = signed_in(&world, web);
    // It may be closed before all is written.
    let _ = large.send(Message::text("x".repeat(MAX_REQUEST_BYTES + 1)));
    assert!(hear(&mut large).is_none());
    assert!(hear(&mut silent).is_none(), "after the time for signing in");
}

/// [A1.2] [A1.8] There is HTTP where the user wants it, on this machine only, and its port stands in a
/// file of the user's; else a link says why there is none.
#[test]
fn there_is_http_where_the_user_wants_it() {
    let mut off = World::new("");
    off.start();
    let link = |world: &World| match world.client().call::<method::DashboardLink>(&Nothing {}) {
        Err(CallError::Refused(problem)) => *problem,
        other => panic!("{other:?}"),
    };
    assert!(!off.socket().with_file_name("http.port").exists());
    assert!(link(&off).why[0].contains("`server.http_port` is not set"));

    let (mut world, web) = serving();
    let file = world.socket().with_file_name("http.port");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(web.ask("GET /metrics", &[], "").status, 404, "off if nothing is said");
    assert_eq!(web.ask("GET /healthz", &[], "").body, r#"{"status":"ok"}"#);
    let (_, v6) = (
        TcpStream::connect(("127.0.0.1", web.port)).unwrap(),
        TcpStream::connect(("::1", web.port)),
    );
    assert!(v6.is_err(), "on one address only");

    let mut other = World::new("");
    let port = web.port.to_string();
    assert_eq!(
        other.start_with(&[("CXO_SERVER_HTTP_PORT", &port)]),
        "ready",
        "it serves all the same"
    );
    let told = link(&other);
    assert_eq!(told.code, Code::WrongState);
    assert!(told.why[0].contains("the port cannot be had"), "{told:?}");

    world.signal(rustix::process::Signal::TERM);
    world.until_gone();
    assert!(!file.exists());
    // A repository cannot open one.
    let mut world = World::new("[server]\nhttp_port = 0\n");
    world.start();
    assert!(!world.socket().with_file_name("http.port").exists());
}

/// [G23] Counts are shown where the user wants it, and are numbers only.
#[test]
fn counts_are_numbers_only() {
    let (world, web) = serving_with(&[("CXO_SERVER_METRICS", "true")]);
    agent(&world, "secret-name");
    web.ask("GET /nowhere", &[], "");
    let counts = web.ask("GET /metrics", &[], "").body;
    assert!(counts.contains("cxo_agents 1\n"), "{counts}");
    assert!(counts.contains(r#"cxo_http_answers_total{route="none",status="404"} 1"#), "{counts}");
    assert!(!counts.contains("secret-name"));
}
