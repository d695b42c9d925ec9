//! Settings from the environment, from `.env`, and from the command line.

use std::collections::BTreeMap;
use std::path::Path;

use cxo_protocol::{Code, Problem};
use serde_json::Value;

use super::file::text_of;
use super::keys::{KEYS, nearest};
use super::layer::{Layer, Origin, Place, Setting, not_a_table, shape_at};

/// The variable of an earlier tool that names the base; `CXO_RUN_BASE` is stronger.
const BASE_BRANCH: &str = "ORCHESTRATOR_BASE_BRANCH";

/// The variable that sets a key: `CXO_RUN_JOBS` for `run.jobs`. `None` for a key that is reached
/// by further names of the user's choice only.
pub(super) fn variable_of(key: &str) -> Option<String> {
    let name: String = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    (!key.contains('*')).then(|| format!("CXO_{name}"))
}

/// What the environment says. An empty variable says nothing. `agents` are those that have a
/// table in a file: the variables of their keys are known by their names.
pub(super) fn layer_of(
    env: &BTreeMap<String, String>,
    agents: &[String],
) -> Result<Layer, Problem> {
    let keys = known(agents);
    let mut layer = Layer::default();
    if let Some(base) = env.get(BASE_BRANCH).filter(|value| !value.is_empty()) {
        put(&mut layer, BASE_BRANCH, ("run.base", base))?;
    }
    for (name, value) in env.iter().filter(|(_, value)| !value.is_empty()) {
        match keys.get(name) {
            Some(key) => put(&mut layer, name, (key, value))?,
            None if is_configuration(name) => return Err(unknown(name, &keys)),
            None => {}
        }
    }
    Ok(layer)
}

fn put(layer: &mut Layer, name: &str, (key, text): (&str, &str)) -> Result<(), Problem> {
    let place = Place::variable(name);
    let path = super::keys::names(key);
    if let Some(shape) = shape_at(&path, &place)? {
        let value = shape.read(text).map_err(|mismatch| place.mismatch(&path, &mismatch))?;
        let origin = Origin::Variable { name: name.to_owned() };
        layer.0.insert(key.to_owned(), Setting { value, origin });
    }
    Ok(())
}

/// All variables that set a key, with their keys.
fn known(agents: &[String]) -> BTreeMap<String, String> {
    let plain = KEYS.iter().map(|key| key.name.to_owned());
    let of_agents = agents.iter().flat_map(|agent| {
        KEYS.iter()
            .filter_map(|key| key.name.strip_prefix("agents.*."))
            .filter(|rest| !rest.contains('*'))
            .map(move |rest| format!("agents.{agent}.{rest}"))
    });
    plain
        .chain(of_agents)
        .filter_map(|key| variable_of(&key).map(|variable| (variable, key)))
        .collect()
}

/// Whether a name is that of a setting by its beginning. `CXO_RUN`, `CXO_TASK` and their like,
/// which agents and checks get, are none.
fn is_configuration(name: &str) -> bool {
    KEYS.iter().filter_map(|key| key.name.split('.').next()).any(|section| {
        name.strip_prefix("CXO_")
            .and_then(|rest| rest.strip_prefix(section.to_ascii_uppercase().as_str()))
            .is_some_and(|rest| rest.starts_with('_'))
    })
}

fn unknown(name: &str, keys: &BTreeMap<String, String>) -> Problem {
    let place = Place::variable(name);
    let all: Vec<&str> = keys.keys().map(String::as_str).collect();
    // All of them begin alike, which must not count as likeness.
    let rest: Vec<&str> = all.iter().map(|name| &name["CXO_".len()..]).collect();
    let meant = name
        .strip_prefix("CXO_")
        .and_then(|given| nearest(given, &rest))
        .map(|meant| format!("; did you mean `CXO_{meant}`?"))
        .unwrap_or_default();
    place.problem(format!("no setting has this variable{meant}"))
}

/// What `.env` in the root of the work tree says, where it is read for that.
pub(super) fn dot_env(work_tree: &Path) -> Layer {
    let path = work_tree.join(".env");
    let mut layer = Layer::default();
    // The file belongs to other tools: what is wrong with it is not our affair.
    let Ok(Some(text)) = text_of(&path) else { return layer };
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = unquoted(value.trim());
        if name.trim() == BASE_BRANCH && super::shape::Shape::Text.read(value).is_ok() {
            let origin = Origin::File { path: path.clone(), line: number + 1 };
            let setting = Setting { value: Value::from(value), origin };
            layer.0.insert("run.base".to_owned(), setting);
        }
    }
    layer
}

fn unquoted(value: &str) -> &str {
    ['"', '\'']
        .iter()
        .find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value)
}

/// What the command line says. A text is read as the text of a variable where the key takes
/// something else.
pub(super) fn flags(flags: &BTreeMap<String, Value>) -> Result<Layer, Problem> {
    let mut layer = Layer::default();
    for (key, value) in flags {
        flag(&mut layer, &mut super::keys::names(key), value)?;
    }
    Ok(layer)
}

fn flag<'v>(layer: &mut Layer, path: &mut Vec<&'v str>, value: &'v Value) -> Result<(), Problem> {
    let place = Place::flag();
    match (shape_at(path, &place)?, value) {
        (None, Value::Object(table)) => {
            for (name, inner) in table {
                path.push(name);
                flag(layer, path, inner)?;
                path.pop();
            }
        }
        (None, _) => return Err(not_a_table(path, &place, "a value")),
        (Some(shape), value) => {
            let value = match (shape.check(value), value) {
                (Ok(()), value) => value.clone(),
                (Err(_), Value::String(text)) => {
                    shape.read(text).map_err(|mismatch| place.mismatch(path, &mismatch))?
                }
                (Err(mismatch), _) => return Err(place.mismatch(path, &mismatch)),
            };
            layer.0.insert(path.join("."), Setting { value, origin: Origin::Flag });
        }
    }
    Ok(())
}

/// The error of a tree that fits every shape and is no configuration: a fault of this module.
pub(super) fn fault(path: &str, reason: &str) -> Problem {
    Problem::new(Code::Internal, format!("the configuration does not fit at `{path}`: {reason}"))
        .keeping("nothing was started")
}
