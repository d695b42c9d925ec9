//! Lock files name no place of one machine or network, so that they mean the same everywhere.

use super::Complaint;
use crate::tree::Tree;

/// How cargo writes the public registry.
const CARGO_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// `Cargo.lock`: every source is the public registry; no git, no mirror.
pub(crate) fn cargo(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() == "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            let Some(source) = line.strip_prefix("source = ") else { continue };
            if source.trim_matches('"') != CARGO_REGISTRY {
                let text = format!("source {source} is not the public registry");
                found.push(Complaint::at(&file.path, index + 1, text));
            }
        }
    }
    found
}

/// `package-lock.json`: no package names where it was fetched from, so that every machine fetches it
/// from the registry that it is set to. (npm does so with `omit-lockfile-registry-resolved`.)
pub(crate) fn npm(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.name() == "package-lock.json") {
        let lock: serde_json::Value = match serde_json::from_str(&file.text) {
            Ok(lock) => lock,
            Err(error) => {
                found.push(Complaint::at(&file.path, 0, format!("no JSON: {error}")));
                continue;
            }
        };
        let packages = lock.get("packages").and_then(serde_json::Value::as_object);
        for (name, package) in packages.into_iter().flatten() {
            let resolved = package.get("resolved").and_then(serde_json::Value::as_str);
            let linked = package.get("link").and_then(serde_json::Value::as_bool) == Some(true);
            if let Some(resolved) = resolved
                && !linked
            {
                let text = format!("`{name}` names where it was fetched from: {resolved}");
                found.push(Complaint::at(&file.path, 0, text));
            }
        }
    }
    found
}
