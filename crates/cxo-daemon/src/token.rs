//! Tokens by which agents prove themselves: random, shown once, kept as a digest.

use cxo_protocol::Problem;
use sha2::{Digest, Sha256};

use crate::fresh;

/// Letters of a token, five bits each: 260 bits.
const LETTERS: usize = 52;

/// A token that was just made.
pub(crate) struct Token(String);

impl Token {
    /// A token that nobody has.
    pub(crate) fn fresh() -> Result<Self, Problem> {
        Ok(Self(fresh::secret_letters(LETTERS)?))
    }

    /// What is kept of it, in hex.
    pub(crate) fn digest(&self) -> String {
        digest_of(&self.0)
    }

    /// The token, for whom it was made.
    pub(crate) fn reveal(self) -> String {
        self.0
    }
}

/// What is kept of a token, in hex.
pub(crate) fn digest_of(token: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(token.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
