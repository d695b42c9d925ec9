//! The rules of the house that neither the compiler nor clippy knows.
//!
//! Each rule reads the tree and answers what breaks it; `RULES` is the list of them.

mod commands;
mod layers;
mod links;
mod locks;
mod names;
mod purity;
mod sizes;
mod states;
mod words;

use std::fmt;

use crate::tree::Tree;

/// Something that has to be mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// The file.
    pub(crate) path: String,
    /// Counted from 1; 0 when it is about the whole file.
    pub(crate) line: usize,
    /// What is wrong and what to do.
    pub(crate) text: String,
}

impl Complaint {
    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.text)
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.text)
        }
    }
}

/// A rule.
pub(crate) type Rule = fn(&Tree) -> Vec<Complaint>;

/// All rules.
pub(crate) const RULES: &[Rule] = &[
    layers::manifests,
    layers::daemon_in_main_only,
    purity::core,
    purity::one_git,
    purity::one_sql,
    sizes::files,
    names::module_opens_with_purpose,
    names::banned_names,
    words::no_allow,
    words::no_left_over_marks,
    words::no_machine_paths,
    links::pages,
    commands::exist,
    locks::cargo,
    locks::npm,
    states::conformance,
];

/// What all rules found, in the order of paths and lines.
pub(crate) fn complaints(tree: &Tree) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    found.sort_by(|a, b| (&a.path, a.line, &a.text).cmp(&(&b.path, b.line, &b.text)));
    found.dedup();
    found
}

#[cfg(test)]
mod tests;
