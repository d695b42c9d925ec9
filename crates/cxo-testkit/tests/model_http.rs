//! The scripted model over plain sockets: the wire format, the faults, the gates, the witness log.
#![expect(clippy::unwrap_used, reason = "a test file: what fails here is the test")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cxo_testkit::model::{Answer, ScriptedModel, Scripts};
use serde_json::{Value, json};

/// Nothing here takes longer; only a hang would.
const SAFETY_NET: Duration = Duration::from_secs(20);

fn model(steps: &str) -> ScriptedModel {
    let text = format!("[[script]]\nname = \"it\"\nsteps = [ {steps} ]");
    ScriptedModel::start(Scripts::from_toml(&text).unwrap()).unwrap()
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

fn body(input: &[Value], tools: &[&str]) -> String {
    let tools: Vec<Value> = tools.iter().map(|name| json!({"type": "x", "name": name})).collect();
    json!({"model": "m", "prompt_cache_key": "thread-1", "stream": true, "input": input, "tools": tools})
        .to_string()
}

fn connect(model: &ScriptedModel) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", model.port())).unwrap();
    stream.set_read_timeout(Some(SAFETY_NET)).unwrap();
    stream
}

fn send(model: &ScriptedModel, body: &str) -> TcpStream {
    let mut stream = connect(model);
    let head = format!("POST /v1/responses HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).unwrap();
    stream
}

fn read(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn ask(model: &ScriptedModel) -> String {
    read(send(model, &body(&[user("[[script:it]]")], &["exec_command", "apply_patch"])))
}

fn events(answer: &str) -> Vec<Value> {
    let data = answer.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|text| serde_json::from_str(text).unwrap()).collect()
}

fn items(answer: &str) -> Vec<Value> {
    let done =
        events(answer).into_iter().filter(|event| event["type"] == "response.output_item.done");
    done.map(|event| event["item"].clone()).collect()
}

#[test]
fn a_reply_is_a_numbered_stream_with_usage_at_its_end() {
    let model = model(r#"{ reason = "hm" }, { say = "hello", usage = { input_tokens = 7 } }"#);
    let answer = ask(&model);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let events = events(&answer);
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "response.created",
            "response.output_item.added",
            "response.output_item.done",
            "response.output_item.added",
            "response.output_text.delta",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let numbers: Vec<_> = events.iter().map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..7).map(Some).collect::<Vec<_>>());
    let usage = &events[6]["response"]["usage"];
    assert_eq!((&usage["input_tokens"], &usage["total_tokens"]), (&json!(7), &json!(17)));
}

#[test]
fn a_tool_is_picked_by_what_is_on_offer() {
    let model = model(r#"{ write = "a b", content = "one\ntwo\n" }"#);
    let prompt = [user("[[script:it]]")];
    let patched = items(&read(send(&model, &body(&prompt, &["exec_command", "apply_patch"]))));
    assert_eq!(
        patched[0]["input"],
        "*** Begin Patch\n*** Add File: a b\n+one\n+two\n*** End Patch"
    );
    let run = items(&read(send(&model, &body(&prompt, &["exec_command"]))));
    assert!(run[0]["arguments"].as_str().unwrap().contains("cat > 'a b' <<"), "{run:?}");
    let neither = read(send(&model, &body(&prompt, &["shell"])));
    assert!(neither.starts_with("HTTP/1.1 400"), "{neither}");
    assert!(
        matches!(&model.witness()[2].answer, Answer::Refused(why) if why.contains("exec_command"))
    );
}

#[test]
fn the_next_step_comes_from_the_request_alone() {
    let model = model(r#"{ run = "a" }, { run = "b" }, { say = "c" }"#);
    let call = |id: &str| json!({"type": "function_call", "name": "exec_command", "call_id": id});
    let output = |id: &str, text: &str| json!({"type": "function_call_output", "call_id": id, "output": text});
    let step = |rest: &[Value]| {
        let mut input = vec![user("<environment_context>x"), user("[[script:it]]")];
        input.extend_from_slice(rest);
        let items = items(&read(send(&model, &body(&input, &["exec_command", "write_stdin"]))));
        items[0]["arguments"].as_str().unwrap_or("said").to_owned()
    };
    assert!(step(&[]).contains("\"a\""));
    assert!(step(&[call("1"), output("1", "Chunk ID: 1\nok")]).contains("\"b\""));
    // A call that was cut off is played again; one that still runs is waited for.
    assert!(step(&[call("1")]).contains("\"a\""));
    assert!(step(&[call("1"), output("1", "aborted")]).contains("\"a\""));
    assert!(
        step(&[call("1"), output("1", "Wall time: 1 seconds\naborted by user")]).contains("\"a\"")
    );
    let running = output("1", "Process running with session ID 42\nOutput:\n");
    assert!(step(&[call("1"), running]).contains("\"session_id\":42"));
    let both = [call("1"), output("1", "ok"), call("2"), output("2", "ok")];
    assert_eq!(step(&both), "said");
}

#[test]
fn faults_with_a_status_say_what_providers_say() {
    let model = model(
        r#"{ fault = "rate_limit", retry_after_s = 3, times = 1 },
           { fault = "usage_limit", resets_in_s = 60, times = 1 },
           { fault = "unauthorized", times = 1 }, { fault = "server_error", status = 503, times = 1 },
           { fault = "unknown_model", times = 1 }, { say = "fine" }"#,
    );
    let limited = ask(&model);
    assert!(
        limited.starts_with("HTTP/1.1 429") && limited.contains("retry-after: 3\r\n"),
        "{limited}"
    );
    let used_up = ask(&model);
    assert!(
        used_up.contains("usage_limit_reached") && used_up.contains("\"resets_in_seconds\":60")
    );
    for status in ["401", "503", "404"] {
        assert!(ask(&model).starts_with(&format!("HTTP/1.1 {status}")));
    }
    assert_eq!(items(&ask(&model))[0]["content"][0]["text"], "fine");
}

#[test]
fn broken_streams_lack_their_last_event() {
    let model = model(
        r#"{ fault = "truncated", times = 1 }, { fault = "malformed", times = 1 },
           { fault = "failed", code = "c", message = "m", times = 1 },
           { fault = "slow", pause_ms = 1, chunk_bytes = 100, times = 1 }, { say = "fine" }"#,
    );
    assert_eq!(events(&ask(&model)).len(), 2);
    let malformed = ask(&model);
    let last = malformed.lines().rfind(|line| line.starts_with("data: ")).unwrap();
    assert!(serde_json::from_str::<Value>(&last[6..]).is_err(), "{last}");
    let failed = events(&ask(&model));
    assert_eq!(failed.last().unwrap()["response"]["error"]["code"], "c");
    let slow = events(&ask(&model));
    assert_eq!(slow.last().unwrap()["type"], "response.completed");
    assert_eq!(
        slow,
        events(&ask(&model)).into_iter().map(same_response(&slow)).collect::<Vec<_>>()
    );
}

/// Response ids differ by request, and nothing else may.
fn same_response(like: &[Value]) -> impl Fn(Value) -> Value {
    let id = like[0]["response"]["id"].clone();
    move |mut event| {
        if event["response"]["id"].is_string() {
            event["response"]["id"] = id.clone();
        }
        event
    }
}

#[test]
fn a_reset_is_a_reset_and_not_an_end() {
    let model = model(r#"{ fault = "reset", times = 1 }, { fault = "reset", after_events = 1 }"#);
    for _ in 0..2 {
        let mut stream = send(&model, &body(&[user("[[script:it]]")], &[]));
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn hangs_send_nothing_or_headers_and_end_with_the_server() {
    let model =
        model(r#"{ fault = "hang_before_headers", times = 1 }, { fault = "hang_after_headers" }"#);
    let prompt = body(&[user("[[script:it]]")], &[]);
    let silent = send(&model, &prompt);
    model.wait_for(SAFETY_NET, |entry| entry.seq == 1).unwrap();
    let headers_only = send(&model, &prompt);
    model.wait_for(SAFETY_NET, |entry| entry.seq == 2).unwrap();
    // Both are still open while another request is refused.
    assert!(read(send(&model, "{}")).starts_with("HTTP/1.1 400"));
    drop(model);
    assert_eq!(read(silent), "");
    let headers = read(headers_only);
    assert!(headers.ends_with("\r\n\r\n") && headers.contains("text/event-stream"), "{headers}");
}

#[test]
fn a_gate_holds_the_reply_until_it_is_opened() {
    let model = model(r#"{ say = "through", gate = "g" }"#);
    let held = send(&model, &body(&[user("[[script:it]]")], &[]));
    model.wait_for(SAFETY_NET, |entry| entry.script.as_deref() == Some("it")).unwrap();
    let mut opener = connect(&model);
    opener.write_all(b"POST /control/gates/g HTTP/1.1\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert!(read(opener).starts_with("HTTP/1.1 200"));
    assert_eq!(items(&read(held))[0]["content"][0]["text"], "through");
}

#[test]
fn what_is_no_request_of_ours_is_refused() {
    let model = model(r#"{ say = "x" }"#);
    let raw = |text: &str| {
        let mut stream = connect(&model);
        stream.write_all(text.as_bytes()).unwrap();
        read(stream)
    };
    assert!(
        raw("GET /v1/responses HTTP/1.1\r\nupgrade: websocket\r\n\r\n").starts_with("HTTP/1.1 426")
    );
    assert!(raw("GET /v1/models HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    assert!(raw("\u{1}\u{2}\r\n\r\n").is_empty());
    let unknown = read(send(&model, &body(&[user("[[script:other]]")], &[])));
    assert!(unknown.starts_with("HTTP/1.1 400") && unknown.contains("no script fits"), "{unknown}");
    assert!(read(send(&model, "{\"input\": 3}")).contains("`input` is no list"));
}

#[test]
fn many_conversations_at_once_do_not_mix() {
    let script =
        |n| format!("[[script]]\nname = \"s{n}\"\nsteps = [ {{ say = \"answer {n}\" }} ]\n");
    let text = (0..32).map(script).collect::<Vec<_>>().concat();
    let model = ScriptedModel::start(Scripts::from_toml(&text).unwrap()).unwrap();
    let streams: Vec<_> =
        (0..32).map(|n| send(&model, &body(&[user(&format!("[[script:s{n}]]"))], &[]))).collect();
    for (n, stream) in streams.into_iter().enumerate() {
        assert_eq!(items(&read(stream))[0]["content"][0]["text"], format!("answer {n}"));
    }
    let seqs: Vec<_> = model.witness().iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=32).collect::<Vec<_>>());
}
