//! The digest of a file's content, by which a caller says which content it has seen.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a SHA-256 in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 (64 hexadecimal digits): {shown}")]
pub struct InvalidSha {
    /// The text, escaped.
    pub shown: String,
}

/// The SHA-256 of a file's bytes; 64 lower-case hexadecimal digits on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentSha([u8; 32]);

impl ContentSha {
    /// The digest that was computed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for ContentSha {
    type Err = InvalidSha;

    fn from_str(text: &str) -> Result<Self, InvalidSha> {
        let invalid = || InvalidSha { shown: text.escape_default().take(80).collect() };
        let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex {
            return Err(invalid());
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| invalid())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for ContentSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentSha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for ContentSha {
    type Error = InvalidSha;
    fn try_from(text: String) -> Result<Self, InvalidSha> {
        text.parse()
    }
}

impl From<ContentSha> for String {
    fn from(sha: ContentSha) -> String {
        sha.to_string()
    }
}

impl schemars::JsonSchema for ContentSha {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ContentSha".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-fA-F]{64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<ContentSha>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<ContentSha>().unwrap().to_string(), text);
        for bad in
            ["", &text[1..], &text.replace('0', "g"), &text.replace('0', "+"), &"é".repeat(32)]
        {
            assert!(bad.parse::<ContentSha>().is_err(), "{bad:?}");
        }
    }
}
