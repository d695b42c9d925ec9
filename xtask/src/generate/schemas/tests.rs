//! The published schemas hold what is really written: samples are read by the types of the
//! program, written by them again, and then judged by the schema.

use std::collections::BTreeSet;

use cxo_protocol::params::DaemonStatus;
use cxo_protocol::view::StatusDocument;
use cxo_protocol::{Line, Plan};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::methods;

/// One line per type of event, and more where its fields take several forms.
const LINES: &str = include_str!("lines.jsonl");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn validator(schema: anyhow::Result<String>) -> jsonschema::Validator {
    jsonschema::validator_for(&parsed(&schema.unwrap())).unwrap()
}

/// What the program writes after it read the sample.
fn written<T: Serialize + DeserializeOwned>(sample: Value) -> Value {
    let read: T = serde_json::from_value(sample).unwrap();
    serde_json::to_value(read).unwrap()
}

#[track_caller]
fn accepts(validator: &jsonschema::Validator, document: &Value) {
    let errors: Vec<String> =
        validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{document}: {errors:?}");
}

#[test]
fn every_event_is_listed_and_accepted() {
    let schema = parsed(&super::events().unwrap());
    let listed: BTreeSet<&str> =
        methods::variants(&schema).unwrap().iter().filter_map(methods::name_of).collect();
    let validator = validator(super::events());
    let mut seen = BTreeSet::new();
    for sample in LINES.lines().map(parsed) {
        let line: Line = serde_json::from_value(sample).unwrap();
        seen.insert(line.event.kind());
        accepts(&validator, &serde_json::to_value(&line).unwrap());
    }
    assert_eq!(seen, listed);
    // The types as they stand in the source, so that none is left out of the schema.
    let source = include_str!("../../../../crates/cxo-protocol/src/event.rs");
    let named = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("#[serde(rename = \"")?.strip_suffix("\")]"));
    assert_eq!(named.collect::<BTreeSet<_>>(), listed);
    let page = methods::events().unwrap();
    assert!(listed.iter().all(|name| page.contains(&format!("\n## `{name}`\n"))));
}

#[test]
fn lines_that_are_none_are_refused() {
    let validator = validator(super::events());
    let good = json!({ "v": 1, "seq": 7, "ts": 0, "run": "r7k2", "type": "run.resumed" });
    accepts(&validator, &good);
    for (field, wrong) in [
        ("v", json!(2)),
        ("seq", json!("7")),
        ("run", json!(null)),
        ("type", json!("run.sung")),
        ("type", json!("run.trusted")),
    ] {
        let mut line = good.clone();
        line[field] = wrong;
        assert!(!validator.is_valid(&line), "{line}");
    }
    for field in ["v", "seq", "ts", "run", "type"] {
        let mut line = good.clone();
        line.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&line), "{line}");
    }
}

#[test]
fn status_and_daemon_status_are_accepted() {
    let task = json!({
        "id": "t1", "title": "One", "agent": "codex", "state": "needs_you", "detail": null, "until": null,
        "needs": [], "files": ["src/**"], "estimate_minutes": 5, "since": 1, "started_at": 1, "attempts": 1,
        "attempt": "r7k2.t1.a1", "thread": null, "used": usage(), "change": { "files": 1, "added": 2, "removed": 0 },
        "work": "0".repeat(40), "commit": null, "receipts": [], "kept": [],
        "question": { "id": "r7k2.t1.q1", "text": "Take it?", "asked_at": 2 }, "failing_lines": [],
    });
    let run = json!({
        "id": "r7k2", "goal": "A goal", "state": "needs_manual_review", "detail": null,
        "awaits": { "kind": "answers", "tasks": ["t1"] }, "started_at": 1, "ended_at": null, "jobs": 4,
        "base": "HEAD", "base_commit": "0".repeat(40), "target": null, "checks": ["node --test"],
        "summary": "All of it.", "added_edges": [], "used": usage(), "result": null, "failure": null,
        "failing_lines": [], "tasks": [task],
    });
    let status = written::<StatusDocument>(json!({ "v": 1, "runs": [run] }));
    accepts(&validator(super::status()), &status);
    let mut odd = status;
    odd["runs"][0]["tasks"][0]["state"] = json!("pondering");
    assert!(!validator(super::status()).is_valid(&odd));

    let mut daemon = written::<DaemonStatus>(json!({
        "pid": 1, "supervisor_pid": null, "version": "0.1.0", "started_at": 1, "state_dir": "s", "socket": "d",
        "open_runs": 0, "effects": 0, "queue": 0, "queue_capacity": 1024,
    }));
    daemon["v"] = json!(1);
    accepts(&validator(super::daemon_status()), &daemon);
    daemon["pid"] = json!("one");
    assert!(!validator(super::daemon_status()).is_valid(&daemon));
}

fn usage() -> Value {
    json!({ "input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 1, "reasoning_tokens": 0 })
}

#[test]
fn plans_are_accepted_and_unknown_fields_are_not() {
    let validator = validator(super::plan());
    let sample = json!({ "summary": "s", "tasks": [{ "id": "t1", "title": "One" }] });
    accepts(&validator, &sample);
    accepts(&validator, &written::<Plan>(sample));
    let odd = json!({ "summary": "s", "tasks": [{ "id": "t1", "title": "One", "needs": ["t0"] }] });
    assert!(!validator.is_valid(&odd));
}

#[test]
fn configurations_are_accepted_and_unknown_keys_are_not() {
    let validator = validator(super::config());
    let text = "[run]\njobs = 2\nchecks = [\"cargo test\", [\"npm\", \"test\"]]\n\
                [agents.mine]\nkind = \"command\"\nprogram = \"my-agent\"\nargs = [\"{prompt_file}\"]\n";
    let table: toml::Table = text.parse().unwrap();
    accepts(&validator, &serde_json::to_value(table).unwrap());
    assert!(!validator.is_valid(&json!({ "run": { "job": 2 } })));
}

#[test]
fn the_version_is_fixed_and_comes_with_every_document() {
    for schema in [super::events(), super::status(), super::daemon_status()] {
        let schema = parsed(&schema.unwrap());
        assert_eq!(schema["properties"]["v"]["const"], json!(1));
        assert!(schema["required"].as_array().unwrap().contains(&json!("v")));
    }
}
