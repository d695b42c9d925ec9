//! The lines of a patch, one after the other, with their numbers.

use super::error::PatchError;

/// What has not been read yet.
#[derive(Clone)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    /// The number of the line that comes next, counted from 1.
    pub(super) number: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { rest: text, number: 1 }
    }

    /// The next line without its newline; it stays the next.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|&byte| byte == b'\n').unwrap_or(self.rest.len());
        (!self.rest.is_empty()).then(|| &self.rest[..end])
    }

    /// Takes the next line.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.peek()?;
        self.rest = self.rest.get(line.len() + 1..).unwrap_or_default();
        self.number += 1;
        Some(line)
    }

    /// Takes the next line if it begins so, and answers what follows.
    pub(super) fn take(&mut self, prefix: &str) -> Option<&'a [u8]> {
        let rest = self.peek()?.strip_prefix(prefix.as_bytes())?;
        self.next();
        Some(rest)
    }

    pub(super) fn expected(&self, expected: &'static str) -> PatchError {
        PatchError::Syntax { line: self.number, expected }
    }
}
