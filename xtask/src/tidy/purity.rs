//! What may be touched in one place only: clocks and files not by the core, git by one module,
//! SQL by one crate.

use super::Complaint;
use crate::rust::Found;
use crate::tree::{File, Tree};

/// Paths that bring time, chance, order by address, or the world into the core.
const NOT_IN_CORE: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map",
    "std::collections::hash_set",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time",
    "HashMap",
    "HashSet",
    "fs_err",
    "getrandom",
    "rand",
    "tokio",
];

/// Words that begin a statement of SQL; they are looked for in strings, upper case as we write it.
const SQL: &[&str] = &[
    "SELECT ",
    "INSERT INTO",
    "INSERT OR ",
    "UPDATE ",
    "DELETE FROM",
    "CREATE TABLE",
    "CREATE INDEX",
    "ALTER TABLE",
    "DROP TABLE",
    "PRAGMA ",
];

/// The core has no clock, randomness, files or unordered maps.
pub(crate) fn core(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in tree.rust_under("crates/cxo-core/src/").filter(|file| !file.is_test()) {
        for path in shipped(&file.facts().paths) {
            let banned = NOT_IN_CORE.iter().find(|banned| reaches(&path.text, banned));
            if let Some(banned) = banned {
                found.push(Complaint::at(
                    &file.path,
                    path.line,
                    format!("the core stays pure: no `{banned}`; take it in with a command"),
                ));
            }
        }
    }
    found
}

/// One module of cxo-git starts git; nobody else does.
pub(crate) fn one_git(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut starters: Vec<(&File, usize)> = Vec::new();
    for file in tree.rust_under("crates/").filter(|file| !file.is_test()) {
        let facts = file.facts();
        let starts = shipped(&facts.paths).find(|path| path.text.ends_with("Command::new"));
        let Some(starts) = starts else { continue };
        if file.path.starts_with("crates/cxo-git/src/") {
            starters.push((file, starts.line));
            continue;
        }
        let named = shipped(&facts.strings).filter(|string| string.text == "\"git\"");
        found.extend(named.map(|string| {
            Complaint::at(&file.path, string.line, "only cxo-git starts git: call it instead")
        }));
    }
    if let [(first, _), rest @ ..] = starters.as_slice() {
        found.extend(rest.iter().map(|(file, line)| {
            Complaint::at(
                &file.path,
                *line,
                format!("one module of cxo-git starts processes, and that is {}", first.path),
            )
        }));
    }
    found
}

/// SQL and rusqlite are cxo-store's alone.
pub(crate) fn one_sql(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    let elsewhere = tree
        .rust_under("crates/")
        .filter(|file| !file.is_test() && !file.path.starts_with("crates/cxo-store/"));
    for file in elsewhere {
        let facts = file.facts();
        let crates = shipped(&facts.paths).filter(|path| reaches(&path.text, "rusqlite"));
        let statements = shipped(&facts.strings).filter(|string| {
            let text = string.text.trim_start_matches(['r', 'b', 'c', '#', '"']).trim_start();
            SQL.iter().any(|word| text.starts_with(word))
        });
        found.extend(crates.chain(statements).map(|at| {
            Complaint::at(
                &file.path,
                at.line,
                "SQL is for cxo-store alone: add a call to the store",
            )
        }));
    }
    found
}

fn shipped(found: &[Found]) -> impl Iterator<Item = &Found> {
    found.iter().filter(|found| !found.in_test)
}

/// Is `path` the banned thing or something inside it?
fn reaches(path: &str, banned: &str) -> bool {
    path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
