//! What a repository brings, and by which hash it is approved.

use cxo_protocol::params::Brought;
use serde_json::json;

use super::World;

fn brought(text: &str) -> Option<Brought> {
    World::new().repository(text).load().unwrap().brought
}

fn hash(text: &str) -> String {
    brought(text).unwrap().hash
}

const ALL: &str = r#"
[run]
agent = "mine"
checks = ["cargo test", ["npm", "test"]]
[agents.mine]
kind = "command"
program = "/bin/agent"
model = "m"
args = ["--x", "{prompt_file}"]
env = { KEY = "hunter2" }
sandbox = "none"
[workspace]
setup = ["make deps"]
writable = ["/cache"]
"#;

/// [G23] Everything that is executed is listed, and values of variables are not.
#[test]
fn all_that_is_executed_is_listed() {
    let brought = brought(ALL).unwrap();
    assert!(!brought.approved);
    assert_eq!(brought.hash.len(), 64);
    insta::assert_snapshot!(brought.lines.join("\n"), @r#"
    agent mine: args: ["--x","{prompt_file}"]
    agent mine: env KEY is set
    agent mine: kind: command
    agent mine: model: m
    agent mine: program: /bin/agent
    agent mine: sandbox: none
    run.agent: mine
    check: cargo test
    check: ["npm","test"]
    setup: make deps
    writable: /cache
    "#);
}

#[test]
fn what_executes_nothing_needs_no_approval() {
    assert_eq!(brought("[run]\njobs = 8\nretries = 1\nbase = \"x\"\n[logs]\nmax_mb = 1\n"), None);
    assert_eq!(brought(""), None);
    // What holds anyway changes nothing.
    assert_eq!(brought("[run]\nagent = \"codex\"\nchecks = []\n"), None);
    assert_eq!(brought("[agents.codex]\nsandbox = \"workspace-write\"\n"), None);
}

#[test]
fn what_the_user_sets_is_not_the_repositorys() {
    let text = "[run]\nchecks = [\"make test\"]\n";
    let same = World::new().user(text).repository(text).load().unwrap();
    assert_eq!(same.brought, None);
    let flag = World::new().repository(text).flag("run.checks", json!(["other"]));
    assert_eq!(flag.load().unwrap().brought, None);
    let variable = World::new().repository(text).variable("CXO_RUN_CHECKS", "other");
    assert_eq!(variable.load().unwrap().brought, None);
    // Switching the user's own checks off changes what is executed.
    let off = World::new().user(text).repository("[run]\nchecks = []\n").load().unwrap();
    assert_eq!(off.brought.unwrap().lines, ["check: none"]);
}

#[test]
fn the_hash_stays_over_order_comments_and_other_settings() {
    let one = "[run]\nchecks = [\"a\"]\n[workspace]\nsetup = [\"b\"]\n";
    let other =
        "# x\n[workspace]\nsetup=['b']\nmax_untracked_mb = 3\n[run]\njobs = 2\nchecks = [ 'a', ]\n";
    assert_eq!(hash(one), hash(other));
    // Kept approvals outlive a release: the form of what is hashed is fixed.
    assert_eq!(hash(one), "f0704c8d21cbf4e1ddeaa285a450509d7b7c860305fe166f4db5a15fd91fecc8");
}

#[test]
fn every_change_of_what_is_executed_changes_the_hash() {
    let variants = [
        ALL.to_owned(),
        ALL.replace("cargo test", "cargo test "),
        ALL.replace("\"cargo test\", [\"npm\", \"test\"]", "[\"npm\", \"test\"], \"cargo test\""),
        ALL.replace("[\"npm\", \"test\"]", "[\"npm test\"]"),
        ALL.replace("[\"npm\", \"test\"]", "\"npm test\""),
        ALL.replace("make deps", "make  deps"),
        ALL.replace("/bin/agent", "/bin/agent2"),
        ALL.replace("model = \"m\"", "model = \"n\""),
        ALL.replace("\"--x\"", "\"--y\""),
        ALL.replace("hunter2", "hunter3"),
        ALL.replace("KEY =", "KEYS ="),
        ALL.replace("sandbox = \"none\"", ""),
        ALL.replace("\"/cache\"", "\"/\""),
        ALL.replace("agent = \"mine\"", ""),
        // One text or two: the boundary counts.
        "[run]\nchecks = [\"a\", \"b\"]".to_owned(),
        "[run]\nchecks = [\"a\\\",\\\"b\"]".to_owned(),
        "[workspace]\nsetup = [\"a\", \"b\"]".to_owned(),
    ];
    let hashes: std::collections::BTreeSet<String> =
        variants.iter().map(|text| hash(text)).collect();
    assert_eq!(hashes.len(), variants.len());
}

/// [G24] What is approved is what is read: nothing is hidden and nothing steers.
#[test]
fn a_line_hides_nothing() {
    let text = "[run]\nchecks = [\"ok\\n\\u001b[2K\\rrm -rf \\u202e~\"]\n";
    assert_eq!(brought(text).unwrap().lines, ["check: ok\\n\\u{1b}[2K\\u{d}rm -rf \\u{202e}~"]);
    let long = format!("[run]\nchecks = [\"{}\"]\n", "x".repeat(5000));
    let lines = brought(&long).unwrap().lines;
    assert!(lines[0].ends_with("x… (3000 more characters)"), "{}", &lines[0][1990..]);
}
