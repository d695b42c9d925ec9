//! Those who work on the repository through the server, by the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::world::{Setting, World, git};

fn world() -> World {
    Setting::command().file("src/a.txt", "one\n").build()
}

/// [A3.1] [A3.4] A method by its name: on a session that the user opened, a file is read and
/// written; what is refused says why.
#[test]
fn methods_are_called_by_name() {
    let mut world = world();
    let repo = world.repo();
    let session = json!({"session_id": "me", "cwd": repo.to_str().unwrap()}).to_string();
    assert_eq!(world.json(&["call", "session.start", &session])["success"], true);
    let file = r#"{"path": "src/a.txt", "session_id": "me"}"#;
    let read = world.json(&["call", "fs.read", file]);
    assert_eq!(read["content"], "one\n");
    let mut write = json!({"path": "src/a.txt", "content": "two\n", "session_id": "me"});
    let said = world.cxo(&["call", "fs.write", &write.to_string(), "--format", "json"]);
    let refused: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &refused["error"]["code"]), (2, &json!("CX1707")));
    write["preimage_sha"] = read["sha"].clone();
    let written = world.json(&["call", "fs.write", &write.to_string()]);
    assert_eq!(std::fs::read_to_string(repo.join("src/a.txt")).unwrap(), "two\n");
    assert_ne!(written["new_sha"], read["sha"]);
    world.user_worked();
    world.check_unlanded();
}

/// [A3.5] [A7.3] A lock of the command line outlives the command that took it, keeps others out
/// until it is given back, and is named from wherever one stands.
#[test]
fn a_lock_stays_after_the_command_and_keeps_others_out() {
    let world = world();
    let inside = world.repo().join("src");
    let inside = inside.to_str().unwrap();
    let took = world.cxo(&["lock", "acquire", "a.txt", "--repo", inside]);
    assert_eq!(took.code, 0);
    assert!(took.stdout.contains("src/a.txt") && took.stderr.contains("session cli"));
    let others = ["lock", "acquire", "src", "--prefix", "--session", "other"];
    let refused = world.cxo(&others);
    assert_eq!(refused.code, 75);
    assert!(refused.stderr.contains("locked by cli"), "{}", refused.stderr);
    let status = world.json(&["lock", "status", "src/a.txt"]);
    assert_eq!((&status["locked"], &status["holder"]), (&json!(true), &json!("cli")));
    assert_eq!(world.cxo(&["lock", "release", "src/a.txt"]).stdout, "released src/a.txt\n");
    assert_eq!(world.cxo(&others).code, 0);
    let held = world.json(&["lock", "status"])["locks"][0].clone();
    assert_eq!((&held["path"], &held["kind"]), (&json!("src"), &json!("prefix")));
    let everything = world.json(&["lock", "status", "."]);
    assert_eq!(everything["holder"], "other", "the root is everything");
    let id = held["lock_id"].as_str().unwrap();
    assert_eq!(world.cxo(&["lock", "release", "--id", id, "--session", "other"]).code, 0);
    assert_eq!(world.json(&["lock", "status"])["locked"], false);
    world.check_unlanded();
}

/// [A6.3] What a registered agent reports is on the budget.
#[test]
fn tokens_that_an_agent_reports_are_on_the_budget() {
    let world = world();
    world.json(&["call", "agent.register", r#"{"agent_id": "one", "agent_type": "codex"}"#]);
    world.json(&["call", "tokens.reportUsage", r#"{"agent_id": "one", "tokens_used": 1200}"#]);
    let budget = world.json(&["budget"]);
    assert_eq!((&budget["used"], &budget["remaining"]), (&json!(1200), &json!(98_800)));
    assert_eq!(budget["agents"][0]["tokens_used"], 1200);
    let said = world.cxo(&["budget"]);
    assert!(said.stdout.contains("per agent  20000\n"), "{}", said.stdout);
    world.check_unlanded();
}

/// [A4.1] [A4.2] What happened so far ends by itself; with `-f` what comes is heard, each once.
#[test]
fn events_are_read_from_the_log_and_then_as_they_come() {
    let world = world();
    assert_eq!(world.cxo(&["lock", "acquire", "README.md"]).code, 0);
    let so_far = world.json(&["events"])["events"].clone();
    let topics: Vec<&str> =
        so_far.as_array().unwrap().iter().map(|event| event["topic"].as_str().unwrap()).collect();
    let acquired = topics.iter().position(|topic| *topic == "lock.changed").unwrap();
    assert!(topics[..acquired].iter().all(|topic| *topic == "session.changed"), "{topics:?}");
    let since = so_far[acquired - 1]["seq"].to_string();
    let mut child = world
        .command(&["events", "lock.changed", "-f", "--since", &since, "--format", "jsonl"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next(), so_far[acquired]);
    assert_eq!(world.cxo(&["lock", "release", "README.md"]).code, 0);
    let released = next();
    assert_eq!(released["data"]["action"], "released");
    assert!(released["seq"].as_u64() > so_far[acquired]["seq"].as_u64());
    child.kill().unwrap();
    child.wait().unwrap();
    let last = released["seq"].to_string();
    assert_eq!(world.json(&["events", "lock.changed", "--since", &last])["events"], json!([]));
    world.check_unlanded();
}

/// [B7.1] The mirror is written when it is asked for, git does not see it, and it is outdated as
/// soon as something else is true.
#[test]
fn a_mirror_is_refreshed_when_it_is_asked_for() {
    let mut world = world();
    let status = world.cxo(&["mirror", "status"]);
    assert_eq!(status.stdout, "There is no mirror yet.\n  cxo mirror refresh\n");
    world.cxo(&["mirror", "refresh"]);
    let page = world.repo().join(".codex-orch/mirror/status.md");
    assert!(!std::fs::read_to_string(&page).unwrap().contains("src/a.txt"));
    assert_eq!(world.json(&["mirror", "status"])["outdated"], false);
    assert_eq!(git(&world.repo(), &["status", "--porcelain"]), "");

    assert_eq!(world.cxo(&["lock", "acquire", "src/a.txt"]).code, 0);
    assert_eq!(world.json(&["mirror", "status"])["outdated"], true);
    let written = world.json(&["mirror", "refresh"])["written"].clone();
    assert_eq!(written, json!([".codex-orch/mirror/status.md"]));
    assert!(std::fs::read_to_string(&page).unwrap().contains("| src/a.txt | cli |"));
    world.user_worked();
    world.check_unlanded();
}
