//! The mirror: what the daemon knows as Markdown in the work tree, for people and for whoever reads
//! files only. It is written when somebody asks for it and never by itself, and nothing reads it
//! back. What it says follows from the state alone, so that two mirrors differ where the states do.

mod pages;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use cxo_git::{FileEdit, FileError, NewContent, Preimage, TreeFiles, digest};
use cxo_protocol::TreePath;

pub(crate) use pages::{Facts, SharedFacts, pages};

/// Where its pages are, in the work tree.
pub(crate) const FOLDER: &str = ".codex-orch/mirror";

/// The first page.
pub(crate) const FIRST_PAGE: &str = "status.md";

/// What makes git pass the mirror over, the file itself included.
const IGNORE: (&str, &str) = (".gitignore", "*\n");

/// How the line of the first page begins that says its version.
const VERSION_MARK: &str = "<!-- version ";

/// A page of the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Its path below [`FOLDER`].
    pub(crate) name: String,
    /// What it says.
    pub(crate) text: String,
}

/// Where a page of that name is.
fn place(name: &str) -> Result<TreePath, FileError> {
    Ok(TreePath::new(&format!("{FOLDER}/{name}"))?)
}

/// The version of these pages: it differs if they say something else.
pub(crate) fn version(pages: &[Page]) -> String {
    let mut all = String::new();
    for Page { name, text } in pages {
        // With its length, so that nothing can move from one page to the next unnoticed.
        let _ = write!(all, "{name} {}\n{text}", text.len());
    }
    digest(all.as_bytes()).to_string().chars().take(16).collect()
}

/// The version of the pages that are there.
pub(crate) fn version_there(files: &TreeFiles) -> Result<Option<String>, FileError> {
    let page = match files.read(&place(FIRST_PAGE)?) {
        Ok(page) => page,
        Err(FileError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&page.bytes);
    let said = text.lines().find_map(|line| line.strip_prefix(VERSION_MARK));
    Ok(said.and_then(|said| said.split_whitespace().next()).map(str::to_owned))
}

/// Writes the pages that say something else than those that are there, all of them or none, and
/// answers their paths.
pub(crate) fn write(files: &TreeFiles, pages: Vec<Page>) -> Result<Vec<String>, FileError> {
    let version = version(&pages);
    let ignore = Page { name: IGNORE.0.to_owned(), text: IGNORE.1.to_owned() };
    let mut edits = Vec::new();
    for mut page in std::iter::once(ignore).chain(pages) {
        if page.name == FIRST_PAGE {
            let _ = write!(page.text, "\n{VERSION_MARK}{version} -->\n");
        }
        let path = place(&page.name)?;
        let bytes = page.text.into_bytes();
        let expected = match files.read(&path) {
            Ok(there) if there.bytes == bytes => continue,
            Ok(there) => Preimage::Is(there.sha),
            Err(FileError::NotFound { .. }) => Preimage::Absent,
            Err(error) => return Err(error),
        };
        edits.push(FileEdit { path, expected, new: NewContent::Bytes { bytes, mode: None } });
    }
    files.apply(&edits)?;
    Ok(edits.into_iter().map(|edit| edit.path.to_string()).collect())
}
