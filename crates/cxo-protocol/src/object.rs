//! Names of git objects: full, lower-case hexadecimal, SHA-1 (40) or SHA-256 (64).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A string that is not the full name of a git object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a full object name (40 or 64 hexadecimal digits): {shown}")]
pub struct InvalidObjectName {
    /// The text, escaped.
    pub shown: String,
}

fn check(text: &str) -> Result<(), InvalidObjectName> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && (text.len() == 40 || text.len() == 64) {
        Ok(())
    } else {
        Err(InvalidObjectName { shown: text.escape_default().take(80).collect() })
    }
}

macro_rules! object_name {
    ($(#[$doc:meta])* $name:ident) => {
        checked_text! {
            $(#[$doc])* $name, check, InvalidObjectName,
            { "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" }
        }

        impl $name {
            /// The first ten digits, for people.
            pub fn short(&self) -> &str {
                &self.0[..10]
            }
        }
    };
}

object_name! {
    /// A commit.
    CommitId
}
object_name! {
    /// A tree: the exact content that a check proves.
    TreeId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_lower_case_names_are_taken() {
        assert!(CommitId::new(&"a".repeat(40)).is_ok());
        assert!(CommitId::new(&"0".repeat(64)).is_ok());
        for bad in ["", "HEAD", "-x", &"a".repeat(39), &"A".repeat(40), &"g".repeat(40)] {
            assert!(CommitId::new(bad).is_err(), "{bad:?} was taken");
        }
    }
}
