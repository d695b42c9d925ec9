//! What may be handed to git as a revision, a ref, a branch or a path: checked here once, so that
//! no name can be read as an option, a range or a remote helper.
//!
//! The rules for refs are those of `git check-ref-format`; this module runs nothing.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::GitError;
use crate::shown::printable;

/// The longest revision or ref; a file name holds 255 bytes, and a few of them joined are a name.
const MAX_NAME_BYTES: usize = 1_000;

/// A path inside a tree: bytes, because git's names need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    /// The path as git wrote it, relative to the root of the tree, with `/` between components.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path under `root`.
    pub fn under(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&printable(&self.0).replace('\n', "\\n"))
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for RepoPath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// Checks what a person typed for a commit before git sees it.
pub(crate) fn check_revision(text: &str) -> Result<(), GitError> {
    let why = if text.is_empty() {
        "it is empty"
    } else if text.len() > MAX_NAME_BYTES {
        "it is too long"
    } else if text.starts_with('-') {
        "it begins with `-`"
    } else if text.contains("..") {
        "it is a range"
    } else if text.starts_with('^') {
        "it excludes commits"
    } else if text.contains(':') {
        "`:` names a file and no commit"
    } else if text.chars().any(char::is_control) {
        "it has control characters"
    } else {
        return Ok(());
    };
    Err(GitError::BadRevision { shown: shorten(text), why })
}

/// Checks the full name of a ref: `refs/` and then the rules of `git check-ref-format`.
pub(crate) fn check_ref(name: &str) -> Result<(), GitError> {
    if !name.starts_with("refs/") {
        return Err(bad_ref(name, "a full name starts with `refs/`"));
    }
    check_ref_format(name).map_err(|why| bad_ref(name, why))
}

/// Checks a branch name (without `refs/heads/`) and answers its full ref.
pub fn branch_ref(branch: &str) -> Result<String, GitError> {
    if branch.starts_with('-') {
        return Err(bad_ref(branch, "it begins with `-`"));
    }
    if branch == "HEAD" {
        return Err(bad_ref(branch, "`HEAD` is no branch"));
    }
    let full = format!("refs/heads/{branch}");
    check_ref_format(&full).map_err(|why| bad_ref(branch, why))?;
    Ok(full)
}

fn check_ref_format(name: &str) -> Result<(), &'static str> {
    if name.len() > MAX_NAME_BYTES {
        return Err("it is too long");
    }
    if name.contains("..") {
        return Err("it has `..`");
    }
    if name.contains("@{") {
        return Err("it has `@{`");
    }
    if name.ends_with('.') {
        return Err("it ends with `.`");
    }
    for component in name.split('/') {
        if component.is_empty() {
            return Err("a part of it is empty");
        }
        if component.starts_with('.') {
            return Err("a part of it begins with `.`");
        }
        let extension = Path::new(component).extension();
        if extension.is_some_and(|extension| extension == "lock") {
            return Err("a part of it ends with `.lock`");
        }
        if component == "@" {
            return Err("a part of it is `@`");
        }
    }
    let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    if name.chars().any(forbidden) {
        return Err("it has a space, a control character or one of ~^:?*[\\");
    }
    Ok(())
}

/// Whether git refuses the path because a part of it is a spelling of `.git` on some file system.
pub(crate) fn has_git_component(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/' || byte == b'\\').any(is_git_spelling)
}

fn is_git_spelling(component: &[u8]) -> bool {
    let text = String::from_utf8_lossy(component).to_lowercase();
    // An NTFS stream (`.git::$INDEX`) and trailing dots and spaces name the same directory.
    let text = text.split(':').next().unwrap_or_default();
    let text = text.trim_end_matches(['.', ' ']);
    let visible: String = text
        .chars()
        .filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}'))
        .collect();
    visible == ".git" || visible == "git~1" || component == b"." || component == b".."
}

fn bad_ref(name: &str, why: &'static str) -> GitError {
    GitError::BadRefName { shown: shorten(name), why }
}

fn shorten(text: &str) -> String {
    printable(text.as_bytes()).chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G22] Names that git could read as something else never reach it.
    #[test]
    fn hostile_names_are_refused() {
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a...b",
            "^a",
            "ext::sh -c x",
            "HEAD:a",
            "a\nb",
            "\u{1b}[1m",
        ] {
            assert!(check_revision(bad).is_err(), "{bad:?}");
        }
        for good in ["HEAD", "main", "HEAD~3", "v1.0^{}", "@{u}", "a/b-c", "größe"] {
            assert!(check_revision(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "HEAD",
            "a b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a/",
            "/a",
            "a//b",
            "a@{1}",
            "@",
            "a\u{7f}",
            "a\n",
            "ext::x",
        ] {
            assert!(branch_ref(bad).is_err(), "{bad:?}");
        }
        for good in ["main", "result-r7k2", "a/b", "größe", "a.b", "日本"] {
            assert_eq!(branch_ref(good).unwrap(), format!("refs/heads/{good}"));
        }
        assert!(check_ref("heads/x").is_err() && check_ref("refs/cxo/a1").is_ok());
    }

    /// [G22] `.git` in its spellings.
    #[test]
    fn spellings_of_the_git_directory_are_seen() {
        for bad in [
            ".git/x",
            "a/.GIT/y",
            ".git",
            ".git. ./x",
            "git~1",
            ".g\u{200c}it/x",
            ".git::$INDEX",
            "a\\.git\\x",
            "../x",
        ] {
            assert!(has_git_component(bad.as_bytes()), "{bad:?}");
        }
        for good in [".gitignore", "a/git", "x.git", ".gitx/a"] {
            assert!(!has_git_component(good.as_bytes()), "{good:?}");
        }
    }
}
