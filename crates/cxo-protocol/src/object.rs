//! Names of git objects: full, lower-case hexadecimal, SHA-1 (40) or SHA-256 (64).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A string that is not the full name of a git object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a full object name (40 or 64 hexadecimal digits): {shown}")]
pub struct InvalidObjectName {
    /// The text, escaped.
    pub shown: String,
}

macro_rules! object_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes it an object name.
            pub fn new(text: &str) -> Result<Self, InvalidObjectName> {
                let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                if hex && (text.len() == 40 || text.len() == 64) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(InvalidObjectName { shown: text.escape_default().take(80).collect() })
                }
            }

            /// All hexadecimal digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first ten digits, for people.
            pub fn short(&self) -> &str {
                &self.0[..10]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidObjectName;
            fn from_str(text: &str) -> Result<Self, InvalidObjectName> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidObjectName;
            fn try_from(text: String) -> Result<Self, InvalidObjectName> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})$" })
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
