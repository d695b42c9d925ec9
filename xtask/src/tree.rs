//! The files of the project, read once: what every rule and every generator looks at.
//!
//! Knows which files count and which of them are tests; knows no rule.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result};

use crate::rust::Facts;

/// A larger text file is data and not read: it would slow every check down for nothing.
const MAX_TEXT_BYTES: usize = 4 << 20;

/// One text file.
pub(crate) struct File {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    facts: OnceLock<Facts>,
}

impl File {
    /// Is this Rust source?
    pub(crate) fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }

    /// The part of the name after the last dot, or nothing.
    pub(crate) fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Does this file exist for tests only?
    pub(crate) fn is_test(&self) -> bool {
        self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.contains("/examples/")
            || self.path.starts_with("bench/")
            || self.path.starts_with("crates/cxo-testkit/")
            || self.path.ends_with("/tests.rs")
            || self.path.contains(".test.")
    }

    /// Written by a generator, and says so in its first lines.
    pub(crate) fn is_generated(&self) -> bool {
        self.text.lines().take(5).any(|line| line.contains("@generated"))
    }

    /// What the tokens of a Rust file say; empty for what is not Rust.
    pub(crate) fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            if self.is_rust() { Facts::read(&self.text, self.is_test()) } else { Facts::default() }
        })
    }
}

/// All text files that git would track, in the order of their paths.
pub(crate) struct Tree {
    /// The files.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads everything under `root` that is not ignored and is text.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let walk = ignore::WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .git_global(false)
            .parents(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .build();
        for entry in walk {
            let entry = entry?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry.path().strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            let bytes = match std::fs::read(entry.path()) {
                Ok(bytes) => bytes,
                // Another program may be at work in the same tree: what is gone is gone.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("reading {path}")),
            };
            if bytes.len() > MAX_TEXT_BYTES || bytes.contains(&0) {
                continue;
            }
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(File { path, text, facts: OnceLock::new() });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// The file at `path`, if there is one.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// All Rust files under a folder (`""` for everywhere).
    pub(crate) fn rust_under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.is_rust() && file.path.starts_with(folder))
    }
}
