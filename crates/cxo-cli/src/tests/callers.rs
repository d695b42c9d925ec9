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
    let done = place.cxo(&["call", "lock.statu"]);
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
