//! What a client may send, and what becomes of it.

use std::io::{BufRead, Read, Write};
use std::os::unix::fs::PermissionsExt;

use cxo_protocol::Code;
use cxo_protocol::client::{CallError, Client, Pushed};
use cxo_protocol::methods::method;
use cxo_protocol::params::{AgentsOnStop, Approve, DaemonStop, EventsSubscribe, StatusQuery};
use cxo_protocol::wire::MAX_REQUEST_BYTES;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::signed::Signed;
use crate::world::{AT_MOST, World, git, task};

fn serving() -> World {
    let mut world = World::new("[run]\nchecks = []\n");
    world.start();
    world
}

/// The answer to a request of somebody who is in.
fn answer(world: &World, body: &[u8]) -> Value {
    world.signed().ask(body)
}

/// [G18] [G30] Each bad request gets its error by name, says that nothing was changed, and nothing
/// was: the daemon that was to leave by most of them is there.
#[test]
fn bad_requests_get_an_error_by_name_and_have_no_effect() {
    let world = serving();
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{}1"#,
        "[".repeat(100_000)
    );
    let batch = format!(
        "[{}]",
        vec![r#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}"#; 10_000].join(",")
    );
    let table: [(&str, &[u8], &str); 16] = [
        ("no JSON", b"stop", "not-json"),
        ("not text", &[0xff, 0xfe], "not-json"),
        ("nothing", b"", "not-json"),
        ("deep", deep.as_bytes(), "not-json"),
        ("batch", batch.as_bytes(), "invalid-request"),
        ("as a list", br#"["2.0",1,"daemon.stop",{}]"#, "invalid-request"),
        ("trailing", br#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"} x"#, "not-json"),
        ("twice", br#"{"jsonrpc":"2.0","id":1,"method":"daemon.status","method":"daemon.stop"}"#, "not-json"),
        ("twice inside", br#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{"agents":"go_on","agents":"end"}}"#, "not-json"),
        ("no id", br#"{"jsonrpc":"2.0","method":"daemon.stop"}"#, "invalid-request"),
        ("bad id", br#"{"jsonrpc":"2.0","id":"","method":"daemon.stop"}"#, "invalid-request"),
        ("huge id", br#"{"jsonrpc":"2.0","id":18446744073709551616,"method":"daemon.stop"}"#, "invalid-request"),
        ("huge number", br#"{"jsonrpc":"2.0","id":1e400,"method":"daemon.stop"}"#, "not-json"),
        ("other version", br#"{"jsonrpc":"1.0","id":1,"method":"daemon.stop"}"#, "invalid-request"),
        ("unknown field", br#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop","extra":1}"#, "invalid-request"),
        ("unknown parameter", br#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop","params":{"now":true}}"#, "bad-request"),
    ];
    for (what, line, code) in table {
        let reply = answer(&world, line);
        let data = &reply["error"]["data"];
        let expected = match code {
            "not-json" => Code::NotJson,
            "invalid-request" => Code::InvalidRequest,
            _ => Code::BadRequest,
        };
        let got: Code = serde_json::from_value(data["code"].clone()).unwrap();
        assert_eq!(got, expected, "{what}: {reply}");
        assert!(
            data["kept"].as_str().is_some_and(|kept| kept.contains("nothing was changed")),
            "{what}: {reply}"
        );
    }
    let reply = answer(&world, br#"{"jsonrpc":"2.0","id":7,"method":"daemon.fly"}"#);
    assert_eq!(reply["id"], 7);
    let code: Code = serde_json::from_value(reply["error"]["data"]["code"].clone()).unwrap();
    assert_eq!(code, Code::NoSuchMethod);
    assert_eq!(world.status().open_runs, 0);
}

/// [G18] [G25] Ten thousand lines of garbage get ten thousand errors and cost no memory.
#[test]
fn garbage_costs_nothing() {
    let world = serving();
    let pid = world.status().pid;
    let before = resident_kb(pid);
    let Signed { stream, mut opened } = world.signed();
    let mut writer = stream.get_ref().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for number in 0..10_000_u32 {
            let frame = opened.signer.sign(format!("{{\"garbage\": {number}, ").as_bytes());
            writer.write_all(&frame).unwrap();
            writer.write_all(b"\n").unwrap();
        }
    });
    let errors = stream
        .lines()
        .take(10_000)
        .filter(|line| line.as_ref().is_ok_and(|l| l.contains("\"error\"")))
        .count();
    assert_eq!(errors, 10_000);
    sending.join().unwrap();
    assert_eq!(world.status().pid, pid);
    let grown = resident_kb(pid).saturating_sub(before);
    assert!(grown <= 8 * 1024, "{grown} KiB more");
}

fn resident_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// [G18] A line without an end is refused by name and its connection closed; half a request, whose
/// sender went, has no effect.
#[test]
fn endless_and_halved_lines_have_no_effect() {
    let world = serving();
    let mut connection = world.raw();
    let mut writer = connection.get_ref().try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        // The daemon closes the connection while this is written.
        let _ = writer.write_all(&vec![b'x'; MAX_REQUEST_BYTES + 2]);
    });
    let mut all = String::new();
    let _ = connection.read_to_string(&mut all);
    assert!(all.contains("Frame too large"), "{all}");
    sending.join().unwrap();

    let mut halved = world.signed();
    let half = halved.opened.signer.sign(br#"{"jsonrpc":"2.0","id":1,"method":"daemon.stop"}"#);
    halved.stream.get_mut().write_all(&half).unwrap();
    halved.stream.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = String::new();
    halved.stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "half a request was answered");
    world.status();
}

/// [G25] A subscriber that goes leaves no connection behind, although nothing happens that it
/// could be told; and a connection has a bounded number of subscriptions.
#[test]
fn subscribers_leave_nothing_behind() {
    let world = serving();
    for _ in 0..20 {
        let mut subscriber = world.signed();
        subscriber.ask(br#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{}}"#);
        let mut connection = subscriber.stream;
        connection.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = String::new();
        // The end of the stream is the daemon's own end of the connection: closed.
        connection.read_to_string(&mut rest).unwrap();
    }
    let mut client = world.client();
    let all = EventsSubscribe { run: None, since: None };
    let refused = (0..100).find_map(|_| client.subscribe(&all).err());
    assert!(matches!(refused, Some(CallError::Refused(problem)) if problem.code == Code::Busy));
}

/// [A4.2] Events after a position come without a gap, from the log and then live.
#[test]
fn events_come_gapless_from_any_position() {
    let world = serving();
    world.script("a", "echo a > a.txt\n");
    let first = world.run(vec![task("a", &[])]);
    world.until_ended(&first);
    let mut client = world.client();
    client.subscribe(&EventsSubscribe { run: None, since: Some(2) }).unwrap();
    let second = world.run(vec![task("a", &[])]);
    let mut expected = 3;
    loop {
        match client.next_pushed(Some(AT_MOST)).unwrap().unwrap() {
            Pushed::Event(line) => {
                assert_eq!(line.seq, expected);
                expected += 1;
                if line.run == second && line.event.kind() == "run.ended" {
                    return;
                }
            }
            Pushed::Activity(_) | Pushed::Topic(_) | Pushed::CaughtUp(_) => {}
            Pushed::Gap(seq) => panic!("a gap after {seq}"),
        }
    }
}

/// Names: whole, short, `-`; what is short for several or for none is refused by name.
#[test]
fn runs_are_named_short_and_never_guessed() {
    let world = serving();
    let plan_only = || {
        let mut params = world.start_params(vec![task("a", &[])]);
        params.approve = Approve::PlanOnly;
        world.client().call::<method::RunStart>(&params).unwrap().run
    };
    let code = |name: &str| {
        let query = StatusQuery { run: Some(name.to_owned()), ..StatusQuery::default() };
        match world.client().call::<method::RunStatus>(&query) {
            Ok(status) => Ok(status.runs[0].id.clone()),
            Err(CallError::Refused(problem)) => Err(problem.code),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(code("-"), Err(Code::NoSuchRun));
    let first = plan_only();
    assert_eq!(code("r"), Ok(first.clone()));
    let second = plan_only();
    assert_eq!(code("r"), Err(Code::AmbiguousName));
    assert_eq!(code(first.as_str()), Ok(first));
    assert_eq!(code("-"), Ok(second));
    assert_eq!(code("zzz"), Err(Code::NoSuchRun));
    assert_eq!(code("\u{1b}[31m"), Err(Code::NoSuchRun));
}

/// A stop is answered before the daemon goes, and then nobody is there.
#[test]
fn a_stop_is_answered_and_nothing_is_left() {
    let mut world = serving();
    let socket = world.socket();
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let stop = DaemonStop { agents: AgentsOnStop::GoOn };
    world.client().call::<method::DaemonStop>(&stop).unwrap();
    assert!(world.until_gone().success());
    assert!(!socket.exists());
    assert!(matches!(Client::connect(&world.address()), Err(CallError::NotThere(_))));
}

/// [G1] A signal ends the daemon in order; a connection that only listens does not hold it up.
#[test]
fn signals_end_the_daemon_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut world = serving();
        let mut client = world.client();
        client.subscribe(&EventsSubscribe { run: None, since: None }).unwrap();
        world.signal(signal);
        assert!(world.until_gone().success());
        assert!(!world.socket().exists());
    }
}

/// A daemon with nothing to do leaves by itself, but not while somebody is connected.
#[test]
fn an_idle_daemon_leaves() {
    let mut world = World::new("[run]\nchecks = []\n[server]\nidle_exit = \"1s\"\n");
    world.start();
    let mut client = world.client();
    // Longer than it stays alone: the timeout is what is waited for.
    client.subscribe(&EventsSubscribe { run: None, since: None }).unwrap();
    let nothing = client.next_pushed(Some(std::time::Duration::from_millis(2500))).unwrap();
    assert!(nothing.is_none());
    drop(client);
    assert!(world.until_gone().success());
    assert!(!world.socket().exists());
}

/// [G23] What holds the user's environment is for this user's eyes only, and no secret of it is in
/// the daemon's log or in the events.
#[test]
fn the_environment_is_kept_private() {
    let world = serving();
    world.script("a", "echo a > a.txt\n");
    let mut params = world.start_params(vec![task("a", &[])]);
    params.env.insert("OPENAI_API_KEY".to_owned(), "canary-7f3a".to_owned());
    let run = world.client().call::<method::RunStart>(&params).unwrap().run;
    world.until_ended(&run);
    let runtime = world.socket().parent().unwrap().to_owned();
    let kept = runtime.join(format!("{run}.env.json"));
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.log().contains("canary-7f3a"));
    for file in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(world.state().join(file)).unwrap_or_default();
        assert!(!bytes.windows(11).any(|window| window == b"canary-7f3a"), "{file}");
    }
}

/// [A6.2] What changes nothing in the log is carried out once as well, over a restart: a branch is
/// not made a second time, and a daemon that was asked to stop does not stop the next one.
#[test]
fn a_repeated_request_has_no_effect_over_a_restart() {
    let mut world = World::new("[run]\nchecks = []\n");
    world.script("a", "echo a > a.txt\n");
    world.start();
    let run = world.run(vec![task("a", &[])]);
    world.until_ended(&run);
    let pins = world.client().call_by_name("recover.list", &json!({}), None).unwrap();
    let restore = json!({"attempt": pins["pins"][0]["attempt"], "branch": "saved"});
    let ask = |world: &World, method: &str, params: &Value, key: &str| {
        world.client().call_by_name(method, params, Some(key))
    };
    let restored = ask(&world, "recover.restore", &restore, "k1").unwrap();
    let branches = |world: &World| git(&world.repo(), &["branch", "--list", "saved", "other"]);
    assert_eq!(branches(&world), "  saved");
    git(&world.repo(), &["branch", "-q", "-D", "saved"]);
    world.kill();
    world.start();
    assert_eq!(ask(&world, "recover.restore", &restore, "k1").unwrap(), restored);
    let mut other = restore.clone();
    other["branch"] = json!("other");
    assert!(ask(&world, "recover.restore", &other, "k1").is_err(), "the key is used");
    assert_eq!(branches(&world), "");

    let stopped = ask(&world, "daemon.stop", &json!({}), "k2").unwrap();
    assert!(world.until_gone().success());
    world.start();
    assert_eq!(ask(&world, "daemon.stop", &json!({}), "k2").unwrap(), stopped);
    let first = world.status().pid;
    assert_eq!(world.status().pid, first, "it serves on");
}
