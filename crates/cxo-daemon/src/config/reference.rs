//! The schema and the reference page, both made from the data types, so that they cannot differ
//! from what is read.

use std::fmt::Write as _;

use serde_json::Value;

use super::keys::{KEYS, Key};
use super::layer::Layer;
use super::load::documented_caches;
use super::settings::Config;
use super::variables::variable_of;

/// The JSON Schema of a configuration file.
pub fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// The reference page, in Markdown.
pub fn reference() -> String {
    let schema = schema();
    let defaults = Layer::defaults();
    let mut page = String::from(INTRODUCTION);
    let mut section = "";
    for key in KEYS {
        let first = key.name.split('.').next().unwrap_or_default();
        if first != section {
            section = first;
            let title = if section == "agents" { "agents.NAME" } else { section };
            // Writing to a text cannot fail.
            let _ = write!(page, "\n## `[{title}]`\n\n{}\n", about(&schema, &[section]));
        }
        let _ =
            write!(page, "\n### `{}`\n\n{}\n\n", shown_name(key.name), documentation(&schema, key));
        let _ = writeln!(page, "- Takes: {}.", key.shape.wanted());
        let default = defaults.0.get(key.name).map(|setting| &setting.value);
        let _ = writeln!(page, "- Default: {}.", default_of(key, default));
        if let Some(variable) = variable_shown(key.name) {
            let _ = writeln!(page, "- Variable: `{variable}`.");
        }
    }
    let _ = write!(page, "\n{CACHES_TITLE}\n");
    for cache in documented_caches() {
        let _ = writeln!(page, "- `{cache}`");
    }
    page
}

const INTRODUCTION: &str = "\
# Configuration

Settings are read from these places, the later over the earlier:

1. the defaults;
2. the user's file: `$XDG_CONFIG_HOME/codex-orch/config.toml`, or `~/.config/codex-orch/config.toml`;
3. the repository's file: `.codex-orch/config.toml` in the work tree;
4. variables: `ORCHESTRATOR_BASE_BRANCH` (also from `.env` in the root of the work tree) for `run.base`,
   then `CXO_…` as named below. An empty variable counts as not set; a list is written as JSON;
5. the command line.

Tables are merged by key, lists are replaced. An unknown key is an error. `cxo config show --origin`
prints what is in force and where it comes from. A run keeps the settings that it started with.

What a repository's file brings that is executed, or changes what is executed (checks, set-up commands,
agents, the choice of an agent, further writable paths, directories), needs one approval by its hash
before a run starts; `--yes` gives it. A value that is in force without that file needs none.
";

const CACHES_TITLE: &str = "\
## Caches that are writable by default

Those of these that exist, or what the tool's own variable names in their place:
";

/// The text of the key in the schema.
pub(super) fn documentation(schema: &Value, key: &Key) -> String {
    let names: Vec<&str> = key.name.split('.').filter(|name| *name != "*").collect();
    about(schema, &names)
}

fn about(schema: &Value, names: &[&str]) -> String {
    let mut at = schema;
    for name in names {
        at = resolved(schema, at);
        // The values of a map with names of the user's choice stand in for each of them.
        if let Some(inner) = at.get("additionalProperties").filter(|inner| inner.is_object()) {
            at = resolved(schema, inner);
        }
        at = at
            .get("properties")
            .and_then(|properties| properties.get(name))
            .unwrap_or(&Value::Null);
    }
    let own = at.get("description").or_else(|| resolved(schema, at).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

fn resolved<'s>(schema: &'s Value, at: &'s Value) -> &'s Value {
    let named = at.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
    named.and_then(|path| schema.pointer(path)).unwrap_or(at)
}

fn shown_name(name: &str) -> String {
    name.replacen('*', "NAME", 1).replace('*', "VARIABLE")
}

fn variable_shown(name: &str) -> Option<String> {
    match name.strip_prefix("agents.*.") {
        Some(rest) => variable_of(rest).map(|rest| rest.replacen("CXO_", "CXO_AGENTS_NAME_", 1)),
        None => variable_of(name),
    }
}

fn default_of(key: &Key, default: Option<&Value>) -> String {
    match (key.name, default) {
        ("agents.*.kind", _) => "none; for the agent `codex` it is \"codex\"".to_owned(),
        ("agents.*.args", _) => "`[]`".to_owned(),
        ("agents.*.sandbox", _) => "`\"workspace-write\"`".to_owned(),
        ("agents.*.terminal", _) => "`false`".to_owned(),
        ("workspace.writable", _) => "the caches below that exist".to_owned(),
        (_, None | Some(Value::Null)) => "not set".to_owned(),
        (_, Some(value)) => format!("`{value}`"),
    }
}
