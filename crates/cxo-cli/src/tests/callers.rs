//! The verbs of those who work through the server: calls, locks, tokens, events.

use cxo_protocol::{Code, Exit, Problem};
use serde_json::{Value, json};

use super::fake_daemon::{Command, Do, Done, daemon, nobody};

/// Everything that a command said.
fn said(done: &Done) -> String {
    format!("{}=== stderr\n{}=== {:?}", done.stdout, done.stderr, done.exit)
}

/// [A3.1] Any row of the table, by its name on the wire.
#[test]
fn a_method_is_called_by_its_name_and_its_result_printed() {
    let place = daemon(|_, _| Do::Answer(json!({"content": "a\u{202e}b\u{9b}\n", "sha": "5f"})));
    let done = place.cxo(&["call", "fs.read", r#"{"path": "a"}"#]);
    insta::assert_snapshot!(said(&done));
    let done = place.cxo(&["call", "fs.read", r#"{"path": "a"}"#, "--format", "json"]);
    assert_eq!(done.stdout, "{\"content\":\"a\u{202e}b\u{9b}\\n\",\"sha\":\"5f\",\"v\":1}\n");
    let input = br#"{"path": "b"}"#;
    let args = ["call", "fs.read", "-"];
    assert_eq!(place.run(&Command { args: &args, input, most: usize::MAX }).exit, Exit::Ok);
    assert_eq!(place.cxo(&["call", "status.get"]).exit, Exit::Ok);
    let params = [json!({"path": "a"}), json!({"path": "a"}), json!({"path": "b"})];
    assert_eq!(place.called("fs.read"), params);
    assert_eq!(place.called("status.get"), [Value::Null]);
}

#[test]
fn a_call_that_is_refused_says_why() {
    let refusal = || Problem::new(Code::Locked, "a is locked by cli").try_next("cxo lock status");
    let place = daemon(move |_, _| Do::Refuse(refusal()));
    let done = place.cxo(&["call", "lock.acquire", r#"{"path": "a"}"#, "--format", "json"]);
    insta::assert_snapshot!(said(&done));
}

#[test]
fn a_call_that_is_no_call_is_not_made() {
    let place = nobody();
    let done = place.cxo(&["call", "lock.statuses"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("'lock.status'"), "{}", done.stderr);
    for bad in ["", "{", "[]", "7", "null"] {
        let done = place.cxo(&["call", "lock.status", bad]);
        assert_eq!(done.exit, Exit::Usage, "{bad}");
        assert!(done.stderr.contains("kept: nothing was sent"), "{}", done.stderr);
    }
    assert!(!place.folder.path().join("daemon.log").exists());
}

#[test]
fn names_of_methods_are_completed() {
    for shell in ["bash", "zsh"] {
        let script = nobody().cxo(&["completions", shell]).stdout;
        assert!(script.contains("lock.acquire"), "{shell}");
    }
}

/// [A3.5] A lock of the command line belongs to a session that outlives the command.
#[test]
fn a_lock_is_taken_for_a_session_by_name() {
    let place = daemon(|method, _| match method {
        "session.start" => Do::Answer(json!({"success": true})),
        "lock.acquire" => {
            Do::Answer(json!({"success": true, "lock_id": "k3", "fence": 3, "expires_at": 600_000}))
        }
        other => Do::Refuse(Problem::new(Code::NoSuchMethod, other)),
    });
    let top = place.folder.path().canonicalize().unwrap();
    let repo = top.to_str().unwrap();
    let take = |args: &[&str]| place.cxo(&[&["--repo", repo, "lock", "acquire"], args].concat());
    let done = take(&["src/../a.rs"]);
    assert_eq!(done.exit, Exit::Ok);
    assert!(done.stdout.starts_with("✔ a.rs  k3  fence 3  until "), "{}", done.stdout);
    assert_eq!(done.stderr, format!("session cli works on {repo}\n"));
    let args = [".", "--prefix", "--ttl", "2h", "--wait", "30s", "--force", "--session", "me"];
    assert!(take(&args).stdout.starts_with("✔ **  k3"));
    assert_eq!(
        place.called("session.start"),
        [json!({"session_id": "cli", "cwd": repo}), json!({"session_id": "me", "cwd": repo})]
    );
    assert_eq!(
        place.called("lock.acquire"),
        [
            json!({"path": "a.rs", "kind": "file", "force": false, "ttl_seconds": 600,
                "wait_ms": 0, "session_id": "cli"}),
            json!({"path": ".", "kind": "prefix", "force": true, "ttl_seconds": 7200,
                "wait_ms": 30_000, "session_id": "me"}),
        ]
    );
    let done = take(&["../outside"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.stderr.contains("why: ../outside is not in"), "{}", done.stderr);
}

#[test]
fn a_lock_is_given_back_by_path_or_by_id() {
    let place = daemon(|_, _| Do::Answer(json!({"success": true})));
    let top = place.folder.path().canonicalize().unwrap();
    let repo = ["--repo", top.to_str().unwrap(), "lock", "release"];
    let give = |args: &[&str]| place.cxo(&[&repo, args].concat());
    assert_eq!(give(&["a.rs"]).stdout, "released a.rs\n");
    assert_eq!(give(&["--id", "k3", "--session", "me"]).stdout, "released k3\n");
    let params = [
        json!({"path": "a.rs", "session_id": "cli"}),
        json!({"lock_id": "k3", "session_id": "me"}),
    ];
    assert_eq!(place.called("lock.release"), params);
    for args in [&[][..], &["a.rs", "--id", "k3"]] {
        assert_eq!(give(args).exit, Exit::Usage);
    }
}

#[test]
fn locks_are_shown_with_who_has_them() {
    let times = json!({"acquired_at": 0, "fence": 3, "expires_at": 600_000});
    let lock = json!({"lock_id": "k3", "path": "src", "kind": "prefix", "holder": "cli"});
    let with_times = |mut lock: Value| {
        lock.as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        lock
    };
    let all = json!({"locked": true, "locks": [with_times(lock)]});
    let one = with_times(json!({"locked": true, "holder": "cli"}));
    let place = daemon(move |_, params| match params["path"].as_str() {
        None => Do::Answer(all.clone()),
        Some("src/a.rs") => Do::Answer(one.clone()),
        Some(_) => Do::Answer(json!({"locked": false})),
    });
    let top = place.folder.path().canonicalize().unwrap();
    let repo = ["--repo", top.to_str().unwrap(), "lock", "status"];
    let of = |path: &[&str]| place.cxo(&[&repo[..], path].concat()).stdout;
    assert_eq!(of(&[]).lines().count(), 2);
    assert!(of(&["src/a.rs"]).starts_with("src/a.rs  held by cli  since "));
    assert_eq!(of(&["b.rs"]), "b.rs  free\n");
    let empty = daemon(|_, _| Do::Answer(json!({"locked": false, "locks": []})));
    let done = empty.cxo(&["lock", "status"]);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", "nothing is locked\n"));
}

/// [A6.3]
#[test]
fn the_budget_says_what_is_used_and_by_whom() {
    let agent = |name: &str, status: &str, tokens: u64| {
        json!({"agent_id": name, "agent_type": "codex", "role": "worker", "status": status, "last_heartbeat": 0,
            "tokens_used": tokens})
    };
    let agents =
        json!({"agents": [agent("one", "active", 61_000), agent("second", "lost", 20_000)]});
    let place = daemon(move |method, _| match method {
        "tokens.getBudget" => Do::Answer(json!({"total_budget": 100_000, "used": 81_000,
            "reserved": 2_000, "remaining": 17_000, "warning_threshold": 80_000,
            "per_agent_limit": 0})),
        _ => Do::Answer(agents.clone()),
    });
    insta::assert_snapshot!(said(&place.cxo(&["budget"])));
    let document: Value =
        serde_json::from_str(&place.cxo(&["budget", "--format", "json"]).stdout).unwrap();
    assert_eq!((&document["v"], &document["remaining"]), (&json!(1), &json!(17_000)));
    assert_eq!(document["agents"][1]["tokens_used"], 20_000);
}

fn released(seq: u64) -> (&'static str, Value) {
    let event = json!({"topic": "lock.changed", "timestamp": 0, "seq": seq,
        "data": {"action": "released", "lock_id": "k1", "why": "expired"}});
    ("pubsub.event", event)
}

/// [A4.1] [A4.2] Without following, what has happened so far is the whole answer, as lines or as
/// one document.
#[test]
fn events_so_far_are_printed_as_they_are() {
    let place = daemon(|_, _| {
        let notices = vec![released(3), released(5), ("pubsub.caughtUp", json!({"seq": 6}))];
        Do::Notify(json!({"success": true, "seq": 6}), notices)
    });
    let done = place.cxo(&["events", "--format", "jsonl"]);
    assert_eq!((done.exit, done.stderr.as_str()), (Exit::Ok, ""));
    let lines: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, [released(3).1, released(5).1]);
    let done = place.cxo(&["events", "--since", "2", "lock.changed", "--format", "json"]);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document, json!({"v": 1, "events": lines}));
    assert_eq!(
        place.called("pubsub.subscribe"),
        [json!({"topics": ["*"], "since": 0}), json!({"topics": ["lock.changed"], "since": 2})]
    );
    let said = place.cxo(&["events"]).stdout;
    assert!(said.contains("lock.changed  action=released lock_id=k1 why=expired\n"), "{said}");
}

/// [A4.2] [A4.3] A gap is said, and the log is read on from there; a lost connection says how to
/// go on.
#[test]
fn a_gap_is_said_and_read_on_from() {
    let place = daemon(|_, params| match params["since"].as_u64() {
        None => Do::Notify(
            json!({"success": true, "seq": 2}),
            vec![released(3), ("gap", json!({"seq": 3}))],
        ),
        Some(3) => Do::Notify(
            json!({"success": true, "seq": 9}),
            vec![released(8), ("gap", json!({"seq": 8}))],
        ),
        Some(_) => Do::Close,
    });
    let done = place.cxo(&["events", "-f", "lock.*", "--format", "jsonl"]);
    assert_eq!((done.exit, done.stdout.lines().count()), (Exit::NoDaemon, 2));
    assert!(done.stderr.contains("gap after 3"), "{}", done.stderr);
    assert!(done.stderr.contains("next: cxo events -f --since 8 'lock.*'"), "{}", done.stderr);
}
