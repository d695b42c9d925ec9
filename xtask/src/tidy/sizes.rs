//! Files stay short enough to be read in one go.

use super::Complaint;
use crate::tree::Tree;

/// A longer file is more than one room.
const MAX_LINES: usize = 500;

/// Files that are longer for a reason: `[[file]] path = "…" reason = "…"`.
const EXCEPTIONS: &str = "xtask/oversized.toml";

/// No file over [`MAX_LINES`] outside tests and generated files, but for the listed ones.
pub(crate) fn files(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    let listed = listed(tree, &mut found);
    for file in &tree.files {
        let is_code = ["rs", "ts", "tsx", "mjs", "js", "css"].contains(&file.extension());
        // The test kit is a library that people read; only its own tests are tests.
        let is_read = !file.is_test() || file.path.starts_with("crates/cxo-testkit/src/");
        let counts = is_code && is_read && !file.is_generated();
        let lines = file.text.lines().count();
        let excepted = listed.contains(&file.path);
        if counts && lines > MAX_LINES && !excepted {
            found.push(Complaint::at(
                &file.path,
                0,
                format!(
                    "{lines} lines, at most {MAX_LINES}: split it, or list it in {EXCEPTIONS} with a reason"
                ),
            ));
        }
        if excepted && lines <= MAX_LINES {
            let text = format!("{lines} lines only: take it off {EXCEPTIONS}");
            found.push(Complaint::at(&file.path, 0, text));
        }
    }
    for path in listed.iter().filter(|path| tree.file(path).is_none()) {
        found.push(Complaint::at(EXCEPTIONS, 0, format!("`{path}` does not exist")));
    }
    found
}

fn listed(tree: &Tree, found: &mut Vec<Complaint>) -> Vec<String> {
    let Some(file) = tree.file(EXCEPTIONS) else { return Vec::new() };
    let table: toml::Table = match file.text.parse() {
        Ok(table) => table,
        Err(error) => {
            found.push(Complaint::at(EXCEPTIONS, 0, error.to_string()));
            return Vec::new();
        }
    };
    let entries = table.get("file").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    let mut paths = Vec::new();
    for entry in entries {
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        if text("reason").trim().is_empty() {
            let complaint = format!("`{}` is listed without a reason", text("path"));
            found.push(Complaint::at(EXCEPTIONS, 0, complaint));
        }
        paths.push(text("path").to_owned());
    }
    paths
}
