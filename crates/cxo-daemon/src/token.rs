//! Tokens by which agents prove themselves: random, shown once, kept as a digest.

use cxo_protocol::Problem;
use cxo_protocol::wire::Key;

use crate::fresh;

/// A token that was just made.
pub(crate) struct Token(Key);

impl Token {
    /// A token that nobody has.
    pub(crate) fn fresh() -> Result<Self, Problem> {
        fresh::secret().map(Self)
    }

    /// What is kept of it.
    pub(crate) fn stored(&self) -> Key {
        self.0.stored()
    }

    /// The same in hex.
    pub(crate) fn digest(&self) -> String {
        self.stored().to_hex().to_string()
    }

    /// The token, for whom it was made.
    pub(crate) fn reveal(self) -> String {
        self.0.to_hex().to_string()
    }
}
