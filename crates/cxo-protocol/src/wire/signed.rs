//! Signed frames: after the handshake each frame bears an HMAC over its number and its body.
//!
//! ```text
//! {"mac":"<64 hexadecimal digits>","body":<JSON>}
//! ```
//!
//! The number is not sent: both sides count from 0, each direction for itself. A frame that was
//! repeated, left out, reordered, changed or sent back therefore has a wrong signature. The layout
//! is fixed to the byte, so that the body can be cut out without being parsed.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::handshake::AuthError;
use super::key::{Key, add_fields, are_equal, bytes_of_digits, hex};

const BEFORE_MAC: &[u8] = b"{\"mac\":\"";
const AFTER_MAC: &[u8] = b"\",\"body\":";
const MAC_DIGITS: usize = 64;

/// Where the body begins. It ends one byte before the frame does.
const BODY_AT: usize = BEFORE_MAC.len() + MAC_DIGITS + AFTER_MAC.len();

/// Bytes that a signature adds to a body.
pub const SIGNATURE_BYTES: usize = BODY_AT + 1;

/// One direction's key and the number of its next frame.
#[derive(Clone)]
struct Counting {
    keyed: Hmac<Sha256>,
    counter: u64,
}

impl Counting {
    fn new(key: &Key) -> Self {
        Self { keyed: key.keyed(), counter: 0 }
    }

    fn sign(&self, body: &[u8]) -> [u8; 32] {
        let mut mac = self.keyed.clone();
        add_fields(&mut mac, &[&self.counter.to_le_bytes(), body]);
        mac.finalize().into_bytes().into()
    }
}

/// Signs what goes out.
pub struct Signer(Counting);

/// Checks what comes in.
pub struct Verifier(Counting);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("counter", &self.0.counter).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("counter", &self.0.counter).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs with the key of one direction.
    pub fn new(key: &Key) -> Self {
        Self(Counting::new(key))
    }

    /// The next frame.
    pub fn sign(&mut self, body: &[u8]) -> Vec<u8> {
        let mac = self.0.sign(body);
        self.0.counter += 1;
        let mut frame = Vec::with_capacity(body.len() + SIGNATURE_BYTES);
        frame.extend_from_slice(BEFORE_MAC);
        frame.extend_from_slice(hex(&mac).as_bytes());
        frame.extend_from_slice(AFTER_MAC);
        frame.extend_from_slice(body);
        frame.push(b'}');
        frame
    }
}

impl Verifier {
    /// Checks with the key of one direction.
    pub fn new(key: &Key) -> Self {
        Self(Counting::new(key))
    }

    /// The body of the frame that is due. After an error the connection is of no use.
    pub fn open<'a>(&mut self, frame: &'a [u8]) -> Result<&'a [u8], AuthError> {
        let (mac, body) = parts(frame).ok_or(AuthError::NotSigned)?;
        let wrong = AuthError::WrongSignature { counter: self.0.counter };
        let given = bytes_of_digits(mac).ok_or(wrong)?;
        if !are_equal(&self.0.sign(body), &given) {
            return Err(wrong);
        }
        self.0.counter += 1;
        Ok(body)
    }
}

fn parts(frame: &[u8]) -> Option<(&[u8; MAC_DIGITS], &[u8])> {
    let (mac, rest) = frame.strip_prefix(BEFORE_MAC)?.split_first_chunk()?;
    let body = rest.strip_prefix(AFTER_MAC)?.strip_suffix(b"}")?;
    Some((mac, body))
}

#[cfg(test)]
mod tests;
