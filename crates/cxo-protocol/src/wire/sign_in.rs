//! What a browser begins with, instead of the handshake: it shows a token, or the code of a link that
//! becomes one. A page has no key, and was itself sent by what answers: there is nothing that a
//! handshake would add.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::problem::WireError;

/// The first message of a browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignIn {
    /// It was given a token before.
    Bearer {
        /// 64 hexadecimal digits.
        token: String,
    },
    /// It was opened by a link.
    Code {
        /// 64 hexadecimal digits. It works once.
        code: String,
    },
}

/// The daemon's answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignedIn {
    /// The connection is open. With a code, this is the token that it became.
    Welcome {
        /// What to begin with the next time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// Until when it is worth something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<Timestamp>,
    },
    /// The connection is not opened, and is closed.
    Refused {
        /// Why.
        error: Box<WireError>,
    },
}
