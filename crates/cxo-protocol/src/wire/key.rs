//! Keys and what is made with them: HMAC-SHA-256 over length-prefixed fields (A2.2).
//!
//! Each field is preceded by its length, so that no two lists of fields make the same bytes. Where
//! a key is kept is not known here.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of a key, of a nonce, and of what is made with them.
pub const KEY_BYTES: usize = 32;

/// Bytes that HMAC fills its key up to.
const BLOCK_BYTES: usize = 64;

/// A number that is used once: 32 random bytes.
pub type Nonce = [u8; KEY_BYTES];

/// A secret of 32 bytes. It is wiped when it is dropped, and never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A key as 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        bytes_of(text).map(Self::new)
    }

    /// The key as 64 hexadecimal digits, for who is to hold it.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(&*self.0))
    }

    /// The bytes, for who writes the key where it is kept.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What is stored of a token, so that who reads the store cannot use it.
    pub fn stored(&self) -> Self {
        Self::new(Sha256::digest(*self.0).into())
    }

    /// HMAC-SHA-256 over fields, each behind its length in four bytes, little-endian.
    pub fn sign(&self, fields: &[&[u8]]) -> [u8; KEY_BYTES] {
        let mut mac = self.keyed();
        add_fields(&mut mac, fields);
        mac.finalize().into_bytes().into()
    }

    /// Another key, for one purpose.
    pub fn derive(&self, fields: &[&[u8]]) -> Self {
        Self::new(self.sign(fields))
    }

    /// HMAC with this key in it, to be cloned for each frame.
    pub(super) fn keyed(&self) -> Hmac<Sha256> {
        let mut block = Zeroizing::new([0_u8; BLOCK_BYTES]);
        block[..KEY_BYTES].copy_from_slice(&*self.0);
        Hmac::new((&*block).into())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        are_equal(&self.0, &other.0)
    }
}

impl Eq for Key {}

/// Compares in constant time.
pub fn are_equal(one: &[u8; KEY_BYTES], other: &[u8; KEY_BYTES]) -> bool {
    one.ct_eq(other).into()
}

/// Adds fields, each behind its length.
pub(super) fn add_fields(mac: &mut Hmac<Sha256>, fields: &[&[u8]]) {
    for field in fields {
        // Nothing that is signed is longer than a frame.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        mac.update(&length.to_le_bytes());
        mac.update(field);
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    text
}

/// Exactly 64 hexadecimal digits, small letters, as bytes.
pub fn bytes_of(hex: &str) -> Option<[u8; KEY_BYTES]> {
    bytes_of_digits(hex.as_bytes().try_into().ok()?)
}

/// The same of digits that are there.
pub(super) fn bytes_of_digits(digits: &[u8; 2 * KEY_BYTES]) -> Option<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    let (pairs, _) = digits.as_chunks::<2>();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// A second spelling of the same signature would be a second frame: capitals are not taken.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [A2.2] HMAC-SHA-256 as RFC 4231 has it; and moving a byte from one field into the next
    /// makes another signature.
    #[test]
    fn signatures_are_hmac_over_unambiguous_fields() {
        let mut padded = [0; KEY_BYTES];
        padded[..4].copy_from_slice(b"Jefe");
        let mut mac = Key::new(padded).keyed();
        mac.update(b"what do ya want for nothing?");
        assert_eq!(
            hex(&mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let key = Key::new([7; KEY_BYTES]);
        assert_ne!(key.sign(&[b"ab", b"c"]), key.sign(&[b"a", b"bc"]));
        assert_ne!(key.sign(&[b"ab"]), key.sign(&[b"ab", b""]));
    }

    /// [A2.1] [G23] A key is 32 bytes in one spelling, and printing it shows nothing of it.
    #[test]
    fn keys_have_one_spelling_and_are_not_printed() {
        let key = Key::new([0xa5; KEY_BYTES]);
        let text = key.to_hex();
        assert_eq!(Key::from_hex(&text), Some(key.clone()));
        assert_eq!(Key::from_hex(&text.to_uppercase()), None);
        assert_eq!(Key::from_hex(&text[2..]), None);
        assert_eq!(Key::from_hex(&format!("{}aa", &*text)), None);
        assert_eq!(format!("{key:?}"), "Key");
    }
}
