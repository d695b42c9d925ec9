//! Every module says what it is for, and no name says nothing.

use super::Complaint;
use crate::tree::Tree;

/// Names that hold anything and so tell nothing.
const BANNED: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "service"];

/// Every Rust file opens with `//!`.
pub(crate) fn module_opens_with_purpose(tree: &Tree) -> Vec<Complaint> {
    let silent = tree.rust_under("").filter(|file| {
        let first = file.text.lines().find(|line| !line.trim().is_empty());
        !first.is_some_and(|line| line.starts_with("//!")) && !file.is_generated()
    });
    silent
        .map(|file| {
            let text = "opens without `//!`: say what the module is for and what it must not know";
            Complaint::at(&file.path, 1, text)
        })
        .collect()
}

/// No file, folder or type is named after nothing.
pub(crate) fn banned_names(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| is_code(file.extension())) {
        let stem = file.path.rsplit_once('.').map_or(file.path.as_str(), |(stem, _)| stem);
        for part in stem.split('/').flat_map(|part| part.split(['_', '-'])) {
            if BANNED.contains(&part) {
                let text = format!("`{part}` says nothing: name the file after what is inside");
                found.push(Complaint::at(&file.path, 0, text));
            }
        }
        for name in &file.facts().types {
            if camel_words(&name.text).any(|word| BANNED.contains(&word.as_str())) {
                let text = format!("`{}` says nothing: name the type after what it is", name.text);
                found.push(Complaint::at(&file.path, name.line, text));
            }
        }
    }
    found
}

fn is_code(extension: &str) -> bool {
    ["rs", "ts", "tsx", "mjs", "js"].contains(&extension)
}

/// `RunManager` → `run`, `manager`.
fn camel_words(name: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
    }
    words.into_iter()
}
