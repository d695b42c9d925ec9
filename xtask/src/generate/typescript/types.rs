//! JSON Schemas as TypeScript types. It knows the schemas that schemars makes, and refuses others.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use super::super::schemas::without_links;

/// The widest line of a comment.
const COMMENT_CHARS: usize = 100;

/// Types by their names.
#[derive(Debug, Default)]
pub(super) struct Types(BTreeMap<String, Value>);

impl Types {
    /// Takes in a type and all that it names.
    pub(super) fn add(&mut self, schema: Value) -> Result<()> {
        self.add_named(&schema)?;
        let name = super::title(&schema)?.to_owned();
        self.insert(name, schema)
    }

    /// Takes in all that a type names.
    pub(super) fn add_named(&mut self, schema: &Value) -> Result<()> {
        for (name, named) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            self.insert(name.clone(), named.clone())?;
        }
        Ok(())
    }

    fn insert(&mut self, name: String, mut schema: Value) -> Result<()> {
        let fields = schema.as_object_mut().context("the schema of a type is an object")?;
        for about_the_document in ["$schema", "$defs", "title"] {
            fields.remove(about_the_document);
        }
        match self.0.get(&name) {
            Some(known) if *known != schema => bail!("two types are named {name}: rename one"),
            _ => self.0.insert(name, schema),
        };
        Ok(())
    }

    /// All of them, in the order of their names.
    pub(super) fn declarations(&self) -> Result<String> {
        let mut text = String::new();
        for (name, schema) in &self.0 {
            let about = comment(&description(schema), "");
            let has_fields = schema.get("properties").is_some() && choices(schema).is_none();
            let shape = of(schema, "").with_context(|| format!("in {name}"))?;
            let declared = if has_fields {
                format!("interface {name} {shape}")
            } else {
                // A list of choices begins with a line end.
                format!("type {name} = {shape};").replacen("= \n", "=\n", 1)
            };
            write!(text, "\n{about}export {declared}\n")?;
        }
        Ok(text)
    }
}

/// A doc comment, of as many lines as it needs.
pub(super) fn comment(text: &str, indent: &str) -> String {
    let text = without_links(text).replace("*/", "*\\/");
    if text.is_empty() {
        return String::new();
    }
    if indent.len() + text.chars().count() <= COMMENT_CHARS {
        return format!("{indent}/** {text} */\n");
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if indent.len() + line + word.chars().count() >= COMMENT_CHARS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    let body = lines.join(&format!("\n{indent} *"));
    format!("{indent}/**\n{indent} *{body}\n{indent} */\n")
}

/// The type of a value, as it stands behind a colon at this depth.
fn of(schema: &Value, indent: &str) -> Result<String> {
    if *schema == Value::Bool(true) {
        return Ok("unknown".to_owned());
    }
    let fields = schema.as_object().with_context(|| format!("no type is known for {schema}"))?;
    if let Some(path) = fields.get("$ref").and_then(Value::as_str) {
        let name = path.strip_prefix("#/$defs/");
        return name.map(str::to_owned).with_context(|| format!("{path} leads elsewhere"));
    }
    if let Some(word) = fields.get("const") {
        return Ok(word.to_string());
    }
    if let Some(words) = fields.get("enum").and_then(Value::as_array) {
        return Ok(words.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "));
    }
    if let Some(choices) = choices(schema) {
        let union = union(choices, indent)?;
        return Ok(match fields.get("properties") {
            Some(_) => format!("{} & ({union})", object(fields, indent)?),
            None => union,
        });
    }
    match fields.get("type") {
        Some(Value::String(name)) => of_type(name, fields, indent),
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str);
            let types: Result<Vec<_>> = names.map(|name| of_type(name, fields, indent)).collect();
            Ok(types?.join(" | "))
        }
        None if fields.keys().all(|key| key == "description" || key == "default") => {
            Ok("unknown".to_owned())
        }
        _ => bail!("no type is known for {schema}"),
    }
}

fn of_type(name: &str, fields: &Map<String, Value>, indent: &str) -> Result<String> {
    Ok(match name {
        "string" | "boolean" | "null" => name.to_owned(),
        "integer" | "number" => "number".to_owned(),
        "array" => {
            let item = of(fields.get("items").unwrap_or(&Value::Bool(true)), indent)?;
            if item.contains([' ', '\n']) { format!("({item})[]") } else { format!("{item}[]") }
        }
        "object" => object(fields, indent)?,
        other => bail!("no type is known for {other}"),
    })
}

fn object(fields: &Map<String, Value>, indent: &str) -> Result<String> {
    let Some(properties) = fields.get("properties").and_then(Value::as_object) else {
        return Ok(match fields.get("additionalProperties") {
            Some(Value::Bool(false)) => "Record<string, never>".to_owned(),
            Some(schema) => format!("Record<string, {}>", of(schema, indent)?),
            None => "Record<string, unknown>".to_owned(),
        });
    };
    let required = fields.get("required").and_then(Value::as_array);
    let inner = format!("{indent}  ");
    let mut text = String::from("{\n");
    for (name, schema) in properties {
        let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
        let mark = if is_required { "" } else { "?" };
        let about = comment(&description(schema), &inner);
        writeln!(text, "{about}{inner}{name}{mark}: {};", of(schema, &inner)?)?;
    }
    Ok(format!("{text}{indent}}}"))
}

/// Short choices stand in one line; longer ones each in lines of their own, with what they mean.
fn union(choices: &[Value], indent: &str) -> Result<String> {
    let inner = format!("{indent}  ");
    let deeper = format!("{inner}  ");
    let mut types = Vec::new();
    for choice in choices {
        types.push((comment(&description(choice), &inner), of(choice, &deeper)?));
    }
    if types.iter().all(|(about, choice)| about.is_empty() && !choice.contains('\n')) {
        return Ok(types.into_iter().map(|(_, choice)| choice).collect::<Vec<_>>().join(" | "));
    }
    Ok(types
        .iter()
        .fold(String::new(), |text, (about, choice)| format!("{text}\n{about}{inner}| {choice}")))
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    ["oneOf", "anyOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array)
}

fn description(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}
