//! What a page names is there: relative links, and files of the project between backticks.

use super::Complaint;
use crate::tree::{File, Tree};

/// Where a path between backticks has to begin to be taken for a file of ours.
const OWN_FOLDERS: &[&str] =
    &["crates/", "xtask/", "docs/", "tools/", "bench/", ".ci/", ".config/"];

/// Every relative link and every named file exists. Decisions and the changelog tell of their day,
/// so only their links count.
pub(crate) fn pages(tree: &Tree) -> Vec<Complaint> {
    let mut found = Vec::new();
    for page in tree.files.iter().filter(|file| file.extension() == "md") {
        let historic = page.path.starts_with("docs/decisions/") || page.name() == "CHANGELOG.md";
        for (index, line) in page.text.lines().enumerate() {
            let named = if historic { Vec::new() } else { named_files(line) };
            for path in links(page, line).into_iter().chain(named) {
                if !exists(tree, &path) {
                    let text = format!("`{path}` does not exist");
                    found.push(Complaint::at(&page.path, index + 1, text));
                }
            }
        }
    }
    found
}

/// The targets of `[…](target)`, relative to the root.
fn links(page: &File, line: &str) -> Vec<String> {
    let after = line.split("](").skip(1);
    let targets = after.filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let relative = targets.filter(|target| !target.contains(':') && !target.starts_with('#'));
    relative
        .map(|target| {
            let path = target.split('#').next().unwrap_or(target);
            let mut parts: Vec<&str> = page.path.split('/').collect();
            parts.pop();
            for part in path.split('/') {
                match part {
                    "" | "." => {}
                    ".." => drop(parts.pop()),
                    name => parts.push(name),
                }
            }
            parts.join("/")
        })
        .collect()
}

/// Paths of ours between backticks; anything with a placeholder or a blank in it is no path.
fn named_files(line: &str) -> Vec<String> {
    let quoted = line.split('`').skip(1).step_by(2);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    quoted
        .filter(|text| OWN_FOLDERS.iter().any(|folder| text.starts_with(folder)))
        .filter(|text| text.chars().all(plain))
        .map(|text| text.trim_end_matches('/').to_owned())
        .collect()
}

fn exists(tree: &Tree, path: &str) -> bool {
    path.is_empty()
        || tree.files.iter().any(|file| {
            file.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}
