//! JSON Schemas as people read them: tables of fields and lists of words, in Markdown.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::schemas::without_links;

/// The named types of a page, by their names. A type is written once however often it is used.
#[derive(Debug, Default)]
pub(super) struct Types(Map<String, Value>);

impl Types {
    /// Takes in what a schema names.
    pub(super) fn learn(&mut self, schema: &Value) {
        if let Some(named) = schema.get("$defs").and_then(Value::as_object) {
            self.0.extend(named.clone());
        }
    }

    /// A section per named type, in the order of their names.
    pub(super) fn sections(&self) -> String {
        let mut names: Vec<&String> = self.0.keys().collect();
        names.sort();
        let mut text = String::new();
        for name in names {
            let _ = write!(text, "\n### `{name}`\n\n{}", body(&self.0[name]));
        }
        text
    }
}

/// What a type is for and what is in it.
pub(super) fn body(schema: &Value) -> String {
    let mut text = String::new();
    let about = description(schema);
    if !about.is_empty() {
        let _ = write!(text, "{about}\n\n");
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        for choice in choices {
            text.push_str(&one_of(choice));
        }
    } else if schema.get("properties").is_some() {
        text.push_str(&fields(schema, &[]));
    } else {
        let _ = writeln!(text, "{}", capitalised(&kind(schema)));
    }
    text
}

/// The fields as a table, but for those in `without`.
pub(super) fn fields(schema: &Value, without: &[&str]) -> String {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return "No fields.\n".to_owned();
    };
    let shown: Vec<_> =
        properties.iter().filter(|(name, _)| !without.contains(&name.as_str())).collect();
    if shown.is_empty() {
        return "No fields.\n".to_owned();
    }
    let mut text = String::from("| field | kind | meaning |\n|---|---|---|\n");
    for (name, field) in shown {
        let is_required = required(schema).any(|required| required == name);
        let optional = if is_required { "" } else { ", optional" };
        let about = description(field).replace('|', "\\|");
        let _ = writeln!(text, "| `{name}` | {}{optional} | {about} |", kind(field));
    }
    text
}

/// A line for one choice of a closed set, with its fields where it has some.
fn one_of(choice: &Value) -> String {
    if let Some(words) = choice.get("enum").and_then(Value::as_array) {
        return words
            .iter()
            .fold(String::new(), |text, word| format!("{text}- `{}`\n", bare(word)));
    }
    if let Some(word) = choice.get("const") {
        return format!("- `{}`: {}\n", bare(word), description(choice));
    }
    let properties = choice.get("properties").and_then(Value::as_object);
    let Some(properties) = properties else { return format!("- {}\n", kind(choice)) };
    let tag = properties.iter().find_map(|(name, field)| Some((name, field.get("const")?)));
    let mut text = match tag {
        Some((name, word)) => format!("- `{name}` `{}`: {}\n", bare(word), description(choice)),
        None => format!("- {}\n", description(choice)),
    };
    for (name, field) in properties.iter().filter(|(name, _)| tag.is_none_or(|tag| tag.0 != *name))
    {
        let _ = writeln!(text, "  - `{name}` ({}): {}", kind(field), description(field));
    }
    text
}

/// What a value is, in a few words.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let name = path.rsplit('/').next().unwrap_or(path);
        return format!("[`{name}`](#{})", name.to_lowercase());
    }
    if let Some(word) = schema.get("const") {
        return format!("`{}`", bare(word));
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", bare(word))).collect();
        return words.join(" or ");
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(choices) = schema.get(key).and_then(Value::as_array) {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => of_type(name, schema),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            names.map(|name| of_type(name, schema)).collect::<Vec<_>>().join(" or ")
        }
        _ => "any value".to_owned(),
    }
}

fn of_type(name: &str, schema: &Value) -> String {
    let inner = |key: &str| schema.get(key).map_or_else(|| "any value".to_owned(), kind);
    match name {
        "string" => "text".to_owned(),
        "integer" => "whole number".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "null" => "`null`".to_owned(),
        "array" => format!("list of {}", inner("items")),
        "object" => format!("table of {}", inner("additionalProperties")),
        other => other.to_owned(),
    }
}

fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The doc comment, in one line.
pub(super) fn description(schema: &Value) -> String {
    without_links(schema.get("description").and_then(Value::as_str).unwrap_or_default())
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
