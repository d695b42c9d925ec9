//! Words that do not belong into what is committed.

use super::Complaint;
use crate::tree::{File, Tree};

/// Marks of unfinished work. Written in two halves, so that this file does not break its own rule.
const LEFT_OVER: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Wrong in what people read or run; a test may need such a path as data.
const NOT_IN_PROSE: &[&str] = &[concat!("/ro", "ot/"), concat!("/tm", "p/")];

/// Lints are expected with a reason, never allowed.
pub(crate) fn no_allow(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in tree.rust_under("").filter(|file| !file.is_generated()) {
        let attributes = file.facts().attributes.iter();
        let allowed = attributes.filter(|attribute| {
            let text = &attribute.text;
            text.starts_with("allow(") || text.starts_with("cfg_attr(") && text.contains(",allow(")
        });
        found.extend(allowed.map(|attribute| {
            let text = "say `#[expect(lint, reason = \"…\")]`: it ends when its cause ends";
            Complaint::at(&file.path, attribute.line, text)
        }));
    }
    found
}

/// Nothing is left marked as unfinished: an issue keeps it better.
pub(crate) fn no_left_over_marks(tree: &Tree) -> Vec<Complaint> {
    on_each_line(tree.files.iter().filter(|file| !is_lock(file)), |line| {
        let mark = LEFT_OVER.iter().find(|mark| has_word(line, mark))?;
        Some(format!("`{mark}`: do it, or say in an issue what is open"))
    })
}

/// No path of one machine.
pub(crate) fn no_machine_paths(tree: &Tree) -> Vec<Complaint> {
    let prose = tree.files.iter().filter(|file| {
        ["md", "sh", "yml", "yaml", "toml"].contains(&file.extension())
            || file.text.starts_with("#!")
    });
    on_each_line(prose, |line| {
        let path = NOT_IN_PROSE.iter().find(|path| has_path(line, path))?;
        Some(format!("`{path}` is a place of one machine: use a variable or `mktemp -d`"))
    })
}

fn on_each_line<'a>(
    files: impl Iterator<Item = &'a File>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Vec<Complaint> {
    let mut found = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            found.extend(wrong(line).map(|text| Complaint::at(&file.path, index + 1, text)));
        }
    }
    found
}

fn is_lock(file: &File) -> bool {
    ["Cargo.lock", "package-lock.json"].contains(&file.name())
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joins(line[..at].chars().next_back()) && !joins(line[at + word.len()..].chars().next())
    })
}

/// Does `path` begin here, or is it the middle of a longer one or of an address?
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}$*~>)/".contains(c))
    })
}
