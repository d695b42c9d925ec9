//! The types are those of the schemas, and what cannot be a type is refused.

use serde_json::json;

use super::types::{Types, comment};
use super::{errors, methods, topics, types};

#[test]
fn a_schema_is_written_as_the_type_that_it_means() {
    let mut types = Types::default();
    let schema = json!({
        "title": "Lock",
        "description": "A lock, see [`Kind`].",
        "type": "object",
        "properties": {
            "kind": { "$ref": "#/$defs/Kind" },
            "fence": { "type": ["integer", "null"], "format": "uint64" },
            "names": { "type": "array", "items": { "enum": ["a", "b"] } },
            "told": { "type": "object", "additionalProperties": { "type": "string" } },
            "any": true,
        },
        "required": ["kind", "names"],
        "$defs": {
            "Kind": {
                "oneOf": [
                    { "const": "file", "description": "One file." },
                    {
                        "type": "object",
                        "properties": { "below": { "type": "string", "description": "What." } },
                        "required": ["below"],
                    },
                ],
            },
        },
    });
    types.add(schema).unwrap();
    let expected = r#"
export type Kind =
  /** One file. */
  | "file"
  | {
      /** What. */
      below: string;
    };

/** A lock, see `Kind`. */
export interface Lock {
  any?: unknown;
  fence?: number | null;
  kind: Kind;
  names: ("a" | "b")[];
  told?: Record<string, string>;
}
"#;
    assert_eq!(types.declarations().unwrap(), expected);
}

#[test]
fn two_types_of_one_name_are_refused() {
    let mut types = Types::default();
    types.add(json!({ "title": "Lock", "type": "string" })).unwrap();
    types.add(json!({ "title": "Lock", "type": "string" })).unwrap();
    let error = types.add(json!({ "title": "Lock", "type": "null" })).unwrap_err();
    assert!(error.to_string().contains("two types are named Lock"), "{error}");
}

#[test]
fn a_schema_that_is_not_understood_is_refused() {
    for schema in [json!({ "not": {} }), json!({ "$ref": "other.json" }), json!({ "type": "date" })]
    {
        let mut types = Types::default();
        let schema = json!({ "title": "Odd", "type": "object", "properties": { "odd": schema } });
        types.add(schema).unwrap();
        let error = format!("{:#}", types.declarations().unwrap_err());
        assert!(error.starts_with("in Odd: "), "{error}");
    }
}

#[test]
fn a_comment_is_broken_into_lines_and_ends_where_it_should() {
    assert_eq!(comment("All of src/**/.", "  "), "  /** All of src/**\\/. */\n");
    let long = comment(&"word ".repeat(30), "");
    assert!(long.starts_with("/**\n * word") && long.ends_with(" */\n"), "{long}");
    assert!(long.lines().all(|line| line.chars().count() <= 102), "{long}");
}

/// [A8.1] The client knows every method with its types, every topic and every kind of error.
#[test]
fn the_client_knows_every_row_of_the_tables() {
    let (methods, types) = (methods().unwrap(), types().unwrap());
    for row in cxo_protocol::methods::METHODS {
        assert!(methods.contains(&format!("\"{}\": {{ params: t.", row.name)), "{}", row.name);
    }
    for name in methods.split(": t.").skip(1).filter_map(|rest| rest.split([';', ' ']).next()) {
        let declared = [format!("interface {name} "), format!("type {name} ")];
        assert!(declared.iter().any(|one| types.contains(one)), "{name} is declared");
    }
    let topics = topics().unwrap();
    for (topic, _) in cxo_protocol::topic::TOPICS {
        assert!(topics.contains(&format!("\"{topic}\": t.")), "{topic}");
    }
    let errors = errors().unwrap();
    for code in cxo_protocol::Code::ALL {
        assert!(errors.contains(&format!("row: \"{code}\"")), "{code}");
    }
}
