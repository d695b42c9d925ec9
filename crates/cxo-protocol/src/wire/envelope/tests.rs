//! Both envelopes, and what is none.

use serde_json::json;

use super::*;

fn read(text: &str) -> Result<Call, Box<BadCall>> {
    Call::read(text.as_bytes())
}

/// [A1.7] Both envelopes become the same call, and each is answered in its own kind; the plain
/// answer has both `result` and `error`.
#[test]
fn both_envelopes_are_read_as_one_and_answered_in_kind() {
    let rpc =
        read(r#"{"jsonrpc":"2.0","id":7,"idem_key":"k","method":"fs.read","params":{"path":"a"}}"#)
            .unwrap();
    let plain =
        read(r#"{"id":7,"idem_key":"k","method":"fs.read","params":{"path":"a"}}"#).unwrap();
    assert_eq!(rpc.envelope, Envelope::JsonRpc);
    assert_eq!(plain.envelope, Envelope::Plain);
    assert_eq!(Call { envelope: Envelope::Plain, ..rpc.clone() }, plain);
    assert_eq!(plain.idem_key.as_deref(), Some("k"));

    let done = json!({"ok": true});
    assert_eq!(
        rpc.envelope.answer(Some(&rpc.id), Ok(&done)),
        r#"{"jsonrpc":"2.0","id":7,"result":{"ok":true}}"#
    );
    assert_eq!(
        plain.envelope.answer(Some(&plain.id), Ok(&done)),
        r#"{"id":7,"result":{"ok":true},"error":null}"#
    );
    let failed = || Err(Problem::new(Code::Busy, "too much"));
    let value = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let answer = value(plain.envelope.answer(Some(&plain.id), failed()));
    assert_eq!(answer["result"], Value::Null);
    assert_eq!(answer["error"]["code"], 429);
    let answer = value(rpc.envelope.answer(None, failed()));
    assert_eq!(answer["id"], Value::Null);
    assert!(answer.get("result").is_none());
    assert_eq!(answer["error"]["data"]["kind"], "busy");
}

/// [A1.7] What a client writes is what the daemon reads, in both envelopes.
#[test]
fn a_written_request_is_read_as_it_was() {
    let params = json!({"path": "a"});
    let call = Outgoing { id: 3, idem_key: Some("k"), method: "fs.read", params: &params };
    for envelope in [Envelope::JsonRpc, Envelope::Plain] {
        let read = read(&envelope.request(&call).unwrap()).unwrap();
        assert_eq!(read.envelope, envelope);
        assert_eq!((read.id, read.idem_key.as_deref()), (CallId::Number(3), Some("k")));
        assert_eq!(read.params, params);
    }
}

/// [A5.1] [G18] Each frame that is no request is refused by name, with the id where there is one.
#[test]
fn what_is_no_request_is_refused_by_name() {
    let long = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(64 * 1024));
    let deep = format!(r#"{{"id":1,"method":"m","params":{}"#, "[".repeat(100_000));
    let rows: [(&str, Code, Option<u64>); 22] = [
        ("stop", Code::NotJson, None),
        ("", Code::NotJson, None),
        (r#"{"id":1,"id":2,"method":"m"}"#, Code::NotJson, None),
        (r#"{"id":1,"method":"m"} {}"#, Code::NotJson, None),
        ("{\"id\":1,\"method\":\"m\u{0}\"}", Code::NotJson, None),
        (r#"{"id":1,"method":"\ud800"}"#, Code::NotJson, None),
        ("\u{feff}{\"id\":1,\"method\":\"m\"}", Code::NotJson, None),
        (r#"{"id":1e400,"method":"m"}"#, Code::NotJson, None),
        (&deep, Code::NotJson, None),
        (r#"[{"id":1,"method":"m"}]"#, Code::InvalidRequest, None),
        (r#"{"method":"m"}"#, Code::InvalidRequest, None),
        (r#"{"id":null,"method":"m"}"#, Code::InvalidRequest, None),
        (r#"{"id":-5,"method":"m"}"#, Code::InvalidRequest, None),
        (r#"{"id":18446744073709551616,"method":"m"}"#, Code::InvalidRequest, None),
        ("{\"id\":\"\u{202e}a\",\"method\":\"m\"}", Code::InvalidRequest, None),
        (&long, Code::InvalidRequest, None),
        (r#"{"id":1}"#, Code::InvalidRequest, Some(1)),
        (r#"{"id":1,"method":2}"#, Code::InvalidRequest, Some(1)),
        (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, Code::InvalidRequest, Some(1)),
        (r#"{"id":1,"method":"m","params":[1]}"#, Code::InvalidRequest, Some(1)),
        (r#"{"id":1,"method":"m","idem_key":""}"#, Code::InvalidRequest, Some(1)),
        (r#"{"id":1,"method":"m","extra":1}"#, Code::InvalidRequest, Some(1)),
    ];
    for (text, code, id) in rows {
        let shown: String = text.chars().take(60).collect();
        let bad = read(text).expect_err(&shown);
        assert_eq!((bad.problem.code, bad.id), (code, id.map(CallId::Number)), "{shown}");
        assert_eq!(bad.problem.kept.as_deref(), Some("nothing was changed"));
    }
}
