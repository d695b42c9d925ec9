//! A user's repository for a test, and plain git to make it and to ask it: a witness that reads no
//! configuration but the repository's own and shares nothing with the code under test.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Git in a directory, as its user without a home of their own would run it.
pub(crate) fn plain_git(dir: &Path, args: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(dir)
        .args(args)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "User")
        .env("GIT_AUTHOR_EMAIL", "user@example.org")
        .env("GIT_COMMITTER_NAME", "User")
        .env("GIT_COMMITTER_EMAIL", "user@example.org")
        .stdin(Stdio::null());
    git
}

/// What git says, without the last line's end.
///
/// # Panics
///
/// If git fails: then the test does.
#[track_caller]
pub fn git(dir: &Path, args: &[&str]) -> String {
    let (ok, said) = try_git(dir, args);
    assert!(ok, "git {args:?}: {said}");
    said
}

/// Whether git did it, and what it said; what it said of a failure as well.
///
/// # Panics
///
/// If git cannot be started.
pub fn try_git(dir: &Path, args: &[&str]) -> (bool, String) {
    let output = plain_git(dir, args).output().unwrap();
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    (output.status.success(), said.trim_end().to_owned())
}

/// Makes a repository of what lies in a directory: one commit on `main`, and a user.
///
/// # Panics
///
/// If git fails.
pub fn make_repository(dir: &Path) {
    git(dir, &["init", "-q", "-b", "main"]);
    git(dir, &["config", "user.name", "User"]);
    git(dir, &["config", "user.email", "user@example.org"]);
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", "base"]);
}

/// Writes a file, with the directories that it lies in.
///
/// # Panics
///
/// If it cannot be written.
pub fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
