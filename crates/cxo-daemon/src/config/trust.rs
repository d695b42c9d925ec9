//! What a repository brings that will be executed, or that changes what is executed. A person
//! approves it once, by a hash.

use cxo_git::printable;
use cxo_protocol::params::Brought;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::load::Merged;

/// The longest line that is shown whole; longer ones say how much is missing.
const MAX_LINE_CHARS: usize = 2000;

/// What the repository's layer decides of this kind, where it differs from what would be in
/// force without it.
pub(super) fn brought(merged: &Merged) -> Option<Brought> {
    let decided: Vec<(&str, &Value)> = merged
        .by_repository
        .iter()
        .filter(|key| needs_trust(key))
        .filter_map(|key| merged.all.0.get(key).map(|setting| (key.as_str(), &setting.value)))
        .filter(|(key, value)| {
            merged.without_repository.0.get(*key).map(|setting| &setting.value) != Some(value)
        })
        .collect();
    if decided.is_empty() {
        return None;
    }
    Some(Brought {
        hash: hash(&decided),
        lines: decided.iter().flat_map(|(key, value)| lines(key, value)).collect(),
        approved: false,
    })
}

/// Whether a key says what is executed, with which rights, or where we write.
fn needs_trust(key: &str) -> bool {
    key.starts_with("agents.")
        || ["run.agent", "run.checks", "workspace.setup", "workspace.writable"].contains(&key)
}

/// SHA-256 over the sorted keys and values as JSON, which quotes every text: no two contents have
/// the same form.
fn hash(decided: &[(&str, &Value)]) -> String {
    let canonical = Value::Array(
        decided
            .iter()
            .map(|(key, value)| Value::from(vec![Value::from(*key), (*value).clone()]))
            .collect(),
    );
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn lines(key: &str, value: &Value) -> Vec<String> {
    let names = super::keys::names(key);
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let each = |label: &str| match items {
        [] => vec![format!("{label}: none")],
        items => items.iter().map(|item| line(label, item)).collect(),
    };
    match names.as_slice() {
        ["run", "checks"] => each("check"),
        ["workspace", "setup"] => each("setup"),
        ["workspace", "writable"] => each("writable"),
        ["agents", agent, "env", name] => {
            vec![format!("agent {agent}: env {} is set", one_visible_line(name))]
        }
        ["agents", agent, setting] => vec![line(&format!("agent {agent}: {setting}"), value)],
        _ => vec![line(key, value)],
    }
}

fn line(label: &str, value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("{label}: {}", one_visible_line(&text))
}

/// Everything on one line with nothing hidden: what is approved must be what is read.
fn one_visible_line(text: &str) -> String {
    let shown = printable(text.as_bytes()).replace('\n', "\\n").replace('\t', "\\t");
    let count = shown.chars().count();
    if count <= MAX_LINE_CHARS {
        return shown;
    }
    let start: String = shown.chars().take(MAX_LINE_CHARS).collect();
    format!("{start}… ({} more characters)", count - MAX_LINE_CHARS)
}
