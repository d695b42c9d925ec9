//! Commands in the pages for people exist: their verbs and flags are those of the command line,
//! as its generated page lists them.

use std::collections::{BTreeMap, BTreeSet};

use super::Complaint;
use crate::tree::{File, Tree};

/// Written from the parser itself.
const PAGE: &str = "docs/reference/cli.md";

/// Understood by every verb and listed by none.
const ALWAYS: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// Flags by verb; those of every verb under the empty name.
type Verbs<'t> = BTreeMap<&'t str, BTreeSet<&'t str>>;

/// Every `cxo …` in a fenced block or in backticks is a command that the parser takes.
pub(crate) fn exist(tree: &Tree) -> Vec<Complaint> {
    let Some(page) = tree.file(PAGE) else { return Vec::new() };
    let verbs = read(&page.text);
    let pages = tree.files.iter().filter(|file| is_for_users(file));
    pages.flat_map(|file| of_page(file, &verbs)).collect()
}

/// Promises, decisions and the architecture name commands that are planned or hidden.
fn is_for_users(file: &File) -> bool {
    let path = file.path.as_str();
    let is_page = path == "README.md"
        || path.starts_with("docs/")
            && std::path::Path::new(path).extension().is_some_and(|e| e == "md");
    let is_ours = path == crate::conformance::PAGE || path.starts_with("docs/decisions/");
    is_page && !is_ours && !file.is_generated()
}

fn read(page: &str) -> Verbs<'_> {
    let mut verbs = Verbs::new();
    let mut verb = "";
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("### `cxo ").and_then(|rest| rest.strip_suffix('`')) {
            verb = name;
            verbs.entry(verb).or_default();
        } else if let Some(names) = line.strip_prefix("- `").and_then(|rest| rest.split('`').next())
        {
            let names = names.split([',', ' ']).filter(|name| name.starts_with('-'));
            verbs.entry(verb).or_default().extend(names);
        }
    }
    verbs
}

fn of_page(file: &File, verbs: &Verbs<'_>) -> Vec<Complaint> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        let texts: Vec<&str> =
            if fenced { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for command in texts.into_iter().flat_map(|text| commands(text, fenced)) {
            let wrong = wrong_with(command, verbs);
            found.extend(wrong.map(|text| Complaint::at(&file.path, index + 1, text)));
        }
    }
    found
}

/// What stands after `cxo ` where a command may begin, to where it ends.
fn commands(text: &str, fenced: bool) -> impl Iterator<Item = &str> {
    let begins = move |at: usize| {
        let before = text[..at].trim_end();
        at == 0 || (fenced && (before.is_empty() || before.ends_with(['$', '(', '&', ';'])))
    };
    let starts = text.match_indices("cxo ").filter(move |(at, _)| begins(*at));
    starts.map(|(at, name)| {
        let rest = &text[at + name.len()..];
        rest.split(['#', '|', ')', ';', '&']).next().unwrap_or(rest)
    })
}

fn wrong_with(command: &str, verbs: &Verbs<'_>) -> Option<String> {
    // What is in quotes is text for somebody else.
    let plain: String = command.split(['"', '\'']).step_by(2).collect::<Vec<_>>().join("_");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let first = *words.first()?;
    if !first.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let pair = words.get(1).map(|second| format!("{first} {second}"));
    let verb = match pair.as_deref().and_then(|pair| verbs.get_key_value(pair)) {
        Some((verb, _)) => verb,
        None => match verbs.get_key_value(first) {
            Some((verb, _)) => verb,
            None => return Some(format!("there is no `cxo {first}` (see {PAGE})")),
        },
    };
    wrong_flag(&words, verb, verbs)
}

fn wrong_flag(words: &[&str], verb: &str, verbs: &Verbs<'_>) -> Option<String> {
    let flags = words.iter().take_while(|word| **word != "--");
    let flags = flags.filter(|word| word.len() > 1 && word.starts_with('-'));
    let names = flags.map(|word| word.split('=').next().unwrap_or(word));
    let has = |verb: &str, name: &str| verbs.get(verb).is_some_and(|names| names.contains(name));
    let mut unknown =
        names.filter(|name| !has(verb, name) && !has("", name) && !ALWAYS.contains(name));
    unknown.next().map(|name| format!("`cxo {verb}` has no flag `{name}` (see {PAGE})"))
}
