//! Names in a patch: quoted or plain, with `a/` or `b/` before them, each a path inside the tree in
//! its one form.

use cxo_protocol::TreePath;

use super::error::PatchError;

/// The name after `--- ` or `+++ `; none for `/dev/null`. What follows a tab is no part of it.
pub(super) fn after_marker(
    text: &[u8],
    prefix: &str,
    line: usize,
) -> Result<Option<TreePath>, PatchError> {
    if text == b"/dev/null" {
        return Ok(None);
    }
    let name = if text.first() == Some(&b'"') {
        text
    } else {
        text.split(|&byte| byte == b'\t').next().unwrap_or_default()
    };
    with_prefix(&plain(name, line)?, prefix, line).map(Some)
}

/// The name after `rename from ` or `rename to `, without a prefix.
pub(super) fn bare(text: &[u8], line: usize) -> Result<TreePath, PatchError> {
    path(&plain(text, line)?, line)
}

/// The two names after `diff --git `. Where nothing quotes them, only a name that stands there
/// twice can be told from the space between.
pub(super) enum HeaderNames {
    /// Both names are known.
    Two(TreePath, TreePath),
    /// They differ and are not quoted: the lines below have to say them, and this is to match.
    Unclear(Vec<u8>),
}

impl HeaderNames {
    pub(super) fn read(text: &[u8], line: usize) -> Result<Self, PatchError> {
        let (old, new) = if text.first() == Some(&b'"') {
            let (old, rest) = quoted(text, line)?;
            let rest = rest
                .strip_prefix(b" ")
                .ok_or(PatchError::Name { line, why: "a second name is missing" })?;
            (old, plain(rest, line)?)
        } else if text.last() == Some(&b'"') {
            let at = text.windows(2).position(|two| two == b" \"");
            let at = at.ok_or(PatchError::Name { line, why: "a quote is not opened" })?;
            (text[..at].to_vec(), plain(&text[at + 1..], line)?)
        } else {
            let middle = text.len() / 2;
            let (old, new) = (&text[..middle], text.get(middle + 1..).unwrap_or_default());
            let is_same = old.get(2..) == new.get(2..) && text.get(middle) == Some(&b' ');
            if !is_same {
                return Ok(Self::Unclear(text.to_vec()));
            }
            (old.to_vec(), new.to_vec())
        };
        Ok(Self::Two(with_prefix(&old, "a/", line)?, with_prefix(&new, "b/", line)?))
    }

    /// Whether these are the names that the lines below say.
    pub(super) fn are(&self, old: &TreePath, new: &TreePath) -> bool {
        match self {
            Self::Two(first, second) => first == old && second == new,
            Self::Unclear(text) => *text == format!("a/{old} b/{new}").into_bytes(),
        }
    }
}

fn with_prefix(name: &[u8], prefix: &str, line: usize) -> Result<TreePath, PatchError> {
    let why = "a name has no `a/` or `b/` before it; make the patch with prefixes";
    path(name.strip_prefix(prefix.as_bytes()).ok_or(PatchError::Name { line, why })?, line)
}

fn path(name: &[u8], line: usize) -> Result<TreePath, PatchError> {
    let why = "a name is not UTF-8";
    let text = std::str::from_utf8(name).map_err(|_| PatchError::Name { line, why })?;
    let path = TreePath::new(text).map_err(|source| PatchError::Path { line, source })?;
    if path.as_str() != text {
        return Err(PatchError::Name { line, why: "a name has `.` or a `/` too many" });
    }
    Ok(path)
}

/// A name to the end of the line, quoted or not.
fn plain(text: &[u8], line: usize) -> Result<Vec<u8>, PatchError> {
    if text.first() != Some(&b'"') {
        return Ok(text.to_vec());
    }
    let (name, rest) = quoted(text, line)?;
    if rest.is_empty() {
        Ok(name)
    } else {
        Err(PatchError::Name { line, why: "something follows a quoted name" })
    }
}

/// A name in quotes as git writes it, and what follows.
fn quoted(text: &[u8], line: usize) -> Result<(Vec<u8>, &[u8]), PatchError> {
    let bad = |why| PatchError::Name { line, why };
    let mut name = Vec::new();
    let mut bytes = text.iter().copied().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((name, &text[at + 1..])),
            b'\\' => {
                let (_, escape) = bytes.next().ok_or_else(|| bad("a quote is not closed"))?;
                name.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let digits = [escape, next_octal(&mut bytes), next_octal(&mut bytes)];
                        octal(digits).ok_or_else(|| bad("an escape has not three octal digits"))?
                    }
                    _ => return Err(bad("git writes no such escape")),
                });
            }
            other => name.push(other),
        }
    }
    Err(bad("a quote is not closed"))
}

/// The next byte; one that is no digit if there is none.
fn next_octal(bytes: &mut impl Iterator<Item = (usize, u8)>) -> u8 {
    bytes.next().map_or(0, |(_, byte)| byte)
}

fn octal(digits: [u8; 3]) -> Option<u8> {
    digits.iter().try_fold(0_u8, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        value.checked_mul(8)?.checked_add(digit)
    })
}
