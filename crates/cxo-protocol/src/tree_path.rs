//! The path of a file inside a tree, checked once where it comes in, and the key under which two
//! spellings of one file are equal.
//!
//! What leads out of the tree, into a git directory, or reads as something else on another system
//! is refused by name. A path keeps its spelling, because a file is opened by it; locks compare
//! its [`PathKey`]. Nothing here touches a file: symlinks and `..` mean what the tree says, so
//! `cxo-git` resolves them before a path becomes a [`TreePath`].

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

/// The longest path: Linux opens no longer one.
pub const MAX_PATH_BYTES: usize = 4_095;
/// The longest name of a file or folder on the usual file systems.
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// Why a text is not the path of a file inside a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPath {
    /// Nothing is left once `.` and `/` are taken off.
    #[error("the path names the tree itself and no file in it: {shown}")]
    NoName {
        /// The text, escaped.
        shown: String,
    },
    /// Longer than [`MAX_PATH_BYTES`], or a name in it longer than [`MAX_FILE_NAME_BYTES`].
    #[error(
        "the path is too long: at most {MAX_PATH_BYTES} bytes, and {MAX_FILE_NAME_BYTES} for a name in it: {shown}"
    )]
    TooLong {
        /// The beginning of the text, escaped.
        shown: String,
    },
    /// It starts at a root: `/x`, `\x`, `C:x`, `\\?\x`.
    #[error("the path is absolute; write it from the root of the tree: {shown}")]
    Absolute {
        /// The text, escaped.
        shown: String,
    },
    /// It has a part `..`.
    #[error("the path has `..`; write it from the root of the tree: {shown}")]
    Upwards {
        /// The text, escaped.
        shown: String,
    },
    /// It has NUL, a newline or another control character.
    #[error("the path has a control character; rename the file first: {shown}")]
    Control {
        /// The text, escaped.
        shown: String,
    },
    /// A part of it is `.git` in some spelling.
    #[error("the path leads into a git directory, whose files only git may write: {shown}")]
    GitDirectory {
        /// The text, escaped.
        shown: String,
    },
}

/// Whether a tree's file system takes `A` and `a` for two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// Two files.
    Distinct,
    /// One file.
    Folded,
}

/// The path of a file relative to the root of its tree, with `/` between the names, as it is
/// spelled on the disk. Never empty, never absolute, without `.` and `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

/// What is equal for all spellings of one file. It serves to compare and never to open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey(String);

impl TreePath {
    /// Checks `text` and takes `.`, doubled and trailing `/` off it.
    pub fn new(text: &str) -> Result<Self, InvalidPath> {
        let shown = || text.escape_default().take(200).collect::<String>();
        if text.len() > MAX_PATH_BYTES {
            return Err(InvalidPath::TooLong { shown: shown() });
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidPath::Control { shown: shown() });
        }
        let names: Vec<&str> =
            text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        let joined = names.join("/");
        // `./C:x` is none as it stands, and is one in its one form.
        if is_absolute(text) || is_absolute(&joined) {
            return Err(InvalidPath::Absolute { shown: shown() });
        }
        // `\` is a letter of a name here and separates names on Windows: harmless as both.
        for part in text.split(['/', '\\']) {
            if part == ".." {
                return Err(InvalidPath::Upwards { shown: shown() });
            }
            if is_git_directory(part) {
                return Err(InvalidPath::GitDirectory { shown: shown() });
            }
        }
        if names.iter().any(|name| name.len() > MAX_FILE_NAME_BYTES) {
            return Err(InvalidPath::TooLong { shown: shown() });
        }
        if names.is_empty() {
            return Err(InvalidPath::NoName { shown: shown() });
        }
        Ok(Self(joined))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder, if it is not the root, and the name in it.
    pub fn split(&self) -> (Option<&str>, &str) {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => (Some(folder), name),
            None => (None, &self.0),
        }
    }

    /// The key of the file: equal for all of its spellings.
    pub fn key(&self, case: Case) -> PathKey {
        PathKey(match case {
            Case::Distinct => self.0.nfc().collect(),
            Case::Folded => folded(&self.0),
        })
    }
}

impl PathKey {
    /// The key as text, with `/` between the names.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the file `inner` is below the folder with this key. Of a folder whose name is all
    /// ignored nothing is left, and it is taken for the tree itself.
    pub fn contains(&self, inner: &Self) -> bool {
        self.0.is_empty() || inner.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// Whether a name is `.git` on some file system: any case, trailing dots and spaces, a stream of
/// NTFS, its short name there, characters that are ignored in names.
pub fn is_git_directory(name: &str) -> bool {
    let name = folded(name);
    let name = name.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    name == ".git" || name == "git~1"
}

fn is_absolute(text: &str) -> bool {
    let drive = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && text.as_bytes().get(1) == Some(&b':');
    drive || text.starts_with(['/', '\\'])
}

/// At least as coarse as the folding of every file system in use, so that no two spellings of one
/// file differ: decomposed, what is ignored left out, and through both cases, because some letters
/// meet only in one of them (`ẞ` and `ss`, `ſ` and `s`).
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    folded_beyond_ascii(text)
}

fn folded_beyond_ascii(text: &str) -> String {
    let visible = text.nfd().filter(|&c| !is_ignorable(c));
    let lower = visible.flat_map(char::to_lowercase);
    lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect()
}

/// The characters that Unicode lets an implementation ignore; HFS+ and ext4 do so in names.
fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl TryFrom<String> for TreePath {
    type Error = InvalidPath;
    fn try_from(text: String) -> Result<Self, InvalidPath> {
        Self::new(&text)
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> String {
        path.0
    }
}

impl schemars::JsonSchema for TreePath {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TreePath".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_PATH_BYTES })
    }
}

#[cfg(test)]
mod tests;
