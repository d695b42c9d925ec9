//! The user's repository, fixed in a value that two moments can be compared by: every file with its
//! mode and content, the index, refs, HEAD, configuration and hooks. What the orchestrator was
//! asked to add (its state, result branches, its pins, objects) is left out.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::git;
use super::leftovers::files_below;
use crate::TestkitError;

/// Parts of the git directory that are the user's; objects are judged through refs and stash.
const GIT_FILES: [&str; 4] = ["index", "HEAD", "config", "info/exclude"];
const GIT_FOLDERS: [&str; 3] = ["hooks", "logs/refs/stash", "worktrees"];
/// Refs that the orchestrator may add.
const OUR_REFS: [&str; 3] = ["refs/heads/result-", "refs/heads/cxo/", "refs/codex-orch/"];
/// The folder in the working tree that shows the orchestrator's state.
const OUR_FOLDER: &str = ".codex-orch";

/// The user's repository at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserTree {
    entries: BTreeMap<String, String>,
}

impl UserTree {
    /// Fixes a repository with a working tree.
    pub fn of(repository: &Path) -> Result<Self, TestkitError> {
        let mut entries = BTreeMap::new();
        let git_dir = repository.join(".git");
        for file in files_below(repository)? {
            let inside = file.strip_prefix(repository).unwrap_or(&file);
            if !inside.starts_with(".git") && !inside.starts_with(OUR_FOLDER) {
                entries.insert(format!("file {}", inside.display()), fingerprint(&file)?);
            }
        }
        let mut kept: Vec<PathBuf> = GIT_FILES.iter().map(|name| git_dir.join(name)).collect();
        for folder in GIT_FOLDERS.iter().map(|name| git_dir.join(name)) {
            if folder.is_dir() {
                kept.extend(files_below(&folder)?);
            } else {
                kept.push(folder);
            }
        }
        for file in kept.iter().filter(|file| file.exists()) {
            let inside = file.strip_prefix(repository).unwrap_or(file);
            entries.insert(format!("file {}", inside.display()), fingerprint(file)?);
        }
        for (name, id) in git::refs(repository)? {
            if !OUR_REFS.iter().any(|ours| name.starts_with(ours)) {
                entries.insert(format!("ref {name}"), id);
            }
        }
        Ok(Self { entries })
    }

    /// What is new, gone or changed in `after`, in words.
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let gone = self.entries.keys().filter(|name| !after.entries.contains_key(*name));
        let new = after.entries.keys().filter(|name| !self.entries.contains_key(*name));
        let changed = self
            .entries
            .iter()
            .filter(|(name, value)| after.entries.get(*name).is_some_and(|now| now != *value));
        let mut said: Vec<String> = gone.map(|name| format!("{name} is gone")).collect();
        said.extend(new.map(|name| format!("{name} is new")));
        said.extend(changed.map(|(name, _)| format!("{name} is changed")));
        said
    }
}

fn fingerprint(file: &Path) -> Result<String, TestkitError> {
    let failed = |source| TestkitError::File { action: "read", path: file.to_path_buf(), source };
    let metadata = std::fs::symlink_metadata(file).map_err(failed)?;
    if metadata.is_symlink() {
        let target = std::fs::read_link(file).map_err(failed)?;
        return Ok(format!("link to {}", target.display()));
    }
    let mode = metadata.permissions().mode();
    if !metadata.is_file() {
        return Ok(format!("mode {mode:o}, no regular file"));
    }
    let digest = Sha256::digest(std::fs::read(file).map_err(failed)?);
    Ok(format!("mode {mode:o}, sha256 {digest:02x?}"))
}
