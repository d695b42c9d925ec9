//! The conformance page: one row per promise, its state, and the tests that prove it.
//!
//! People write the id and the rule, and `works` where it is so. The proofs are read from the doc
//! comments of the tests (`/// [A1.1] …`) and of the rows of the benchmark, and with them whether
//! something works `partly` or `not yet`, so the page and the tests cannot drift apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{File, Tree};

/// Where what measures a promise stands.
const BENCH_ROWS: &str = "benches/src/rows/";

/// Where the page stands.
pub(crate) const PAGE: &str = "docs/conformance.md";

/// A row names at most this many proofs; the rest is counted, so that rows stay readable.
const MAX_PROOFS_SHOWN: usize = 4;

/// How far a promise is kept. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// All of it, with a test.
    Works,
    /// Some of it.
    Partly,
    /// Nothing of it, or nothing that a test shows.
    NotYet,
}

impl State {
    fn read(word: &str) -> Option<Self> {
        match word {
            "works" => Some(Self::Works),
            "partly" => Some(Self::Partly),
            "not yet" => Some(Self::NotYet),
            _ => None,
        }
    }
}

/// One row of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Counted from 1.
    pub(crate) line: usize,
    /// `A1.1`, `G22`.
    pub(crate) id: String,
    /// The promise, in one line.
    pub(crate) rule: String,
    /// The third cell; nothing when it is none of the three words.
    pub(crate) state: Option<State>,
    /// What stands between backticks in the fourth cell.
    pub(crate) proofs: Vec<String>,
}

/// Reads the rows; lines that do not begin with an id in a table are prose.
pub(crate) fn rows(page: &str) -> Vec<Row> {
    page.lines().enumerate().filter_map(|(index, line)| row(index + 1, line)).collect()
}

fn row(line: usize, text: &str) -> Option<Row> {
    let cells = cells(text)?;
    let [id, rule, state, proof] = cells.as_slice() else {
        let id = cells.first().filter(|id| is_id(id))?;
        // A row with too few or too many cells: kept, with no state, so that the rule complains.
        return Some(Row {
            line,
            id: id.clone(),
            rule: String::new(),
            state: None,
            proofs: vec![],
        });
    };
    is_id(id).then(|| Row {
        line,
        id: id.clone(),
        rule: rule.clone(),
        state: State::read(state),
        proofs: proof.split('`').skip(1).step_by(2).map(str::to_owned).collect(),
    })
}

/// The cells of a table's line; `\|` is not a border.
fn cells(text: &str) -> Option<Vec<String>> {
    let inner = text.trim_end().strip_prefix('|')?.strip_suffix('|')?;
    let hidden = inner.replace("\\|", "\u{0}");
    Some(hidden.split('|').map(|cell| cell.trim().replace('\u{0}', "\\|")).collect())
}

/// A family letter, a number, perhaps a second number.
pub(crate) fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    let family = chars.next().is_some_and(|first| first.is_ascii_uppercase());
    let numbers: Vec<&str> = chars.as_str().split('.').collect();
    let number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    family && numbers.len() <= 2 && numbers.iter().all(number)
}

/// The ids that stand in brackets in `text`.
pub(crate) fn ids_in(text: &str) -> BTreeSet<String> {
    let after_brackets = text.split('[').skip(1);
    let inside = after_brackets.filter_map(|rest| rest.split_once(']').map(|(inside, _)| inside));
    inside.filter(|inside| is_id(inside)).map(str::to_owned).collect()
}

/// A test and the ids that it says it proves.
#[derive(Debug)]
pub(crate) struct Proof {
    /// `package::function` for Rust, `./bench ID` for what measures, the path for anything else.
    pub(crate) name: String,
    /// Where.
    pub(crate) path: String,
    /// Where in it.
    pub(crate) line: usize,
    /// What.
    pub(crate) ids: BTreeSet<String>,
    /// Rust doc comments name nothing but ids; other files may hold brackets of their own.
    pub(crate) strict: bool,
}

/// Everything in the project that says which id it proves.
pub(crate) fn proofs(tree: &Tree) -> Vec<Proof> {
    let mut found = Vec::new();
    // The fixtures of this package name ids that are none.
    for file in tree.files.iter().filter(|file| !file.path.starts_with("xtask/")) {
        if file.is_rust() {
            found.extend(rust_proofs(file));
        } else if ["ts", "tsx", "mjs", "js", "sh", "py"].contains(&file.extension()) {
            let ids = ids_in(&file.text);
            if !ids.is_empty() {
                let (name, path) = (file.path.clone(), file.path.clone());
                found.push(Proof { name, path, line: 1, ids, strict: false });
            }
        }
    }
    found
}

fn rust_proofs(file: &File) -> impl Iterator<Item = Proof> {
    let package = file.path.split('/').nth(1).unwrap_or_default();
    // A suite that several back-ends share is called by their tests and has no attribute itself.
    let of_a_suite = ["suite.rs", "conformance.rs"].contains(&file.name());
    let measures = file.path.starts_with(BENCH_ROWS);
    let proves = move |is_test: bool| is_test || of_a_suite || measures;
    let functions = file.facts().functions.iter().filter(move |function| proves(function.is_test));
    functions.filter_map(move |function| {
        let ids = ids_in(&function.docs);
        let name = if measures {
            format!("./bench {}", ids.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        } else {
            format!("{package}::{}", function.name)
        };
        (!ids.is_empty()).then(|| Proof {
            name,
            path: file.path.clone(),
            line: function.line,
            ids,
            strict: true,
        })
    })
}

/// The page with its count and its proofs brought up to date.
pub(crate) fn with_proofs(tree: &Tree) -> anyhow::Result<String> {
    let Some(page) = tree.file(PAGE) else { anyhow::bail!("{PAGE} is missing") };
    let mut by_id: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for proof in proofs(tree) {
        for id in proof.ids {
            by_id.entry(id).or_default().insert(proof.name.clone());
        }
    }
    let lines: Vec<String> = page.text.lines().map(|line| renewed(line, &by_id)).collect();
    let rows = rows(&lines.join("\n"));
    let count = |state| rows.iter().filter(|row| row.state == Some(state)).count();
    let summary = format!(
        "Count: {} promises, of which {} work, {} work partly, {} do not yet.",
        rows.len(),
        count(State::Works),
        count(State::Partly),
        count(State::NotYet)
    );
    let with_summary = |line: String| {
        let line = if line.starts_with("Count: ") { summary.clone() } else { line };
        line + "\n"
    };
    Ok(lines.into_iter().map(with_summary).collect())
}

fn renewed(line: &str, by_id: &BTreeMap<String, BTreeSet<String>>) -> String {
    let Some(cells) = cells(line) else { return line.to_owned() };
    let [id, rule, state, _] = cells.as_slice() else { return line.to_owned() };
    if !is_id(id) {
        return line.to_owned();
    }
    let names: Vec<&String> = by_id.get(id).into_iter().flatten().collect();
    let state = match State::read(state) {
        Some(State::Partly | State::NotYet) if names.is_empty() => "not yet",
        Some(State::Partly | State::NotYet) => "partly",
        Some(State::Works) | None => state,
    };
    let shown = names.iter().take(MAX_PROOFS_SHOWN).map(|name| format!("`{name}`"));
    let proof = shown.collect::<Vec<_>>().join(", ");
    let rest = match names.len().saturating_sub(MAX_PROOFS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("| {id} | {rule} | {state} | {proof}{rest} |")
}

#[cfg(test)]
mod tests;
