//! The schema and the reference page tell of every key.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::keys::KEYS;
use super::super::reference::documentation;
use super::super::{reference, schema};

/// The dotted keys of a schema.
fn leaves(schema: &Value, at: &Value, path: &str, found: &mut BTreeSet<String>) {
    let at = at
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|name| schema.pointer(name.trim_start_matches('#')))
        .unwrap_or(at);
    let join =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    // What is optional is `anyOf` the thing or null; no table is.
    if let Some(properties) = at.get("properties").and_then(Value::as_object) {
        for (name, inner) in properties {
            leaves(schema, inner, &join(name), found);
        }
    } else if let Some(inner) = at.get("additionalProperties").filter(|inner| inner.is_object()) {
        leaves(schema, inner, &join("*"), found);
    } else {
        found.insert(path.to_owned());
    }
}

#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let schema = schema();
    let mut found = BTreeSet::new();
    leaves(&schema, &schema, "", &mut found);
    // A map of texts is one key for the schema's reader.
    let known: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn every_key_is_documented() {
    let (schema, page) = (schema(), reference());
    for key in KEYS {
        let text = documentation(&schema, key);
        assert!(text.len() > 10 && text.ends_with('.'), "{}: {text:?}", key.name);
        let shown = key.name.replacen('*', "NAME", 1).replace('*', "VARIABLE");
        assert!(page.contains(&format!("### `{shown}`\n\n{text}")), "{shown}");
    }
    let (_, from_retries) = page.split_once("### `run.retries`").unwrap();
    let (retries, _) = from_retries.split_once("\n###").unwrap();
    insta::assert_snapshot!(retries, @r"

    How often a task is tried again after its work failed.

    - Takes: a whole number from 0 to 10.
    - Default: `2`.
    - Variable: `CXO_RUN_RETRIES`.
    ");
}
