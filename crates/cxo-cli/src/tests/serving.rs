//! `cxo serve` where its connection breaks, and where a person is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::fake_daemon::{Command, Do, Place, daemon};

/// The answers to these tool calls, one after the other, by `cxo serve` with more arguments.
fn tools(place: &Place, more: &[&str], calls: &[Value]) -> Vec<Value> {
    let request = |(id, method, params): (usize, &str, &Value)| {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
    };
    let client = json!({"name": "a test", "version": "1"});
    let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
    let mut lines = vec![
        request((0, "initialize", &hello)),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string(),
    ];
    let call = |method: &Value| json!({"name": "orchestrator_call", "arguments": method});
    lines.extend(
        (1..).zip(calls).map(|(id, arguments)| request((id, "tools/call", &call(arguments)))),
    );
    let input = lines.join("\n");
    let args = [&["serve"], more].concat();
    let done = place.run(&Command { args: &args, input: input.as_bytes(), most: usize::MAX });
    let answers = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut answers: Vec<Value> = answers.filter(|answer: &Value| answer["id"] != 0).collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), calls.len(), "{}", done.stderr);
    answers.into_iter().map(|mut answer| answer["result"]["structuredContent"].take()).collect()
}

/// [A6.2] [B1.2] A model hears nothing of a connection that broke under its call: the call is made again
/// under the same key, so that it is not carried out twice.
#[test]
fn a_call_that_was_lost_is_made_again_under_its_key() {
    let before = AtomicUsize::new(0);
    let place = daemon(move |_, _| match before.fetch_add(1, Ordering::SeqCst) {
        0 => Do::Close,
        _ => Do::Answer(json!({"id": 5})),
    });
    let call = json!({"method": "task.create", "params": {"level": "case", "title": "t"}});
    assert_eq!(tools(&place, &[], &[call]), [json!({"id": 5})]);
    let keys = place.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert!(keys[0].is_some() && keys[0] == keys[1], "{keys:?}");
}

/// [B1.4] An agent that acts as the user says no yes in a person's place, unless the person lets it.
#[test]
fn an_agent_that_acts_as_the_user_is_not_the_person() {
    let place = daemon(|method, _| match method {
        "caller.get" => Do::Answer(json!({"methods": ["status.get", "key.rotate"]})),
        _ => Do::Answer(json!({"done": true})),
    });
    let yes = [
        json!({"method": "run.replyTask", "params": {"run": "-", "task": "t", "answer": "yes"}}),
        json!({"method": "run.resume", "params": {"run": "-", "trust": "any"}}),
        json!({"method": "key.rotate"}),
    ];
    for refused in tools(&place, &[], &yes) {
        assert_eq!(refused["error"]["code"], 403, "{refused}");
        let next = refused["error"]["data"]["next"].to_string();
        assert!(next.contains("cxo serve --as-user"), "{refused}");
    }
    assert!(place.calls.lock().unwrap().is_empty());
    let caller = [json!({"method": "caller.get"})];
    assert_eq!(tools(&place, &[], &caller)[0]["methods"], json!(["status.get"]));
    for done in tools(&place, &["--as-user"], &yes) {
        assert_eq!(done, json!({"done": true}));
    }
}

/// [B1.4] Who is to be an agent is never the user: without a token in its file nothing is served.
#[test]
fn without_its_token_an_agent_is_nobody() {
    let place = daemon(|_, _| Do::Answer(json!({})));
    let file = place.folder.path().join("token");
    for text in [None, Some(""), Some("5a5a")] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let args = ["serve", "--token-file", file.to_str().unwrap()];
        let input = b"{\"id\": 1, \"method\": \"status.get\"}";
        let done = place.run(&Command { args: &args, input, most: usize::MAX });
        assert!(done.stdout.is_empty() && done.stderr.contains("has no token"), "{}", done.stderr);
    }
    assert!(place.calls.lock().unwrap().is_empty());
}
