//! The header of clients that cannot hold a connection: it signs one request (A2.4).
//!
//! It depends on the clock, because there is no challenge; who can, uses the handshake.

use std::collections::{BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::PROTOCOL;
use super::envelope::Call;
use super::handshake::LABEL;
use super::key::{Key, are_equal};
use crate::Timestamp;

/// How far a request's time may be from the daemon's.
pub const WINDOW_SECONDS: u64 = 300;

/// Nonces that are remembered. When so many requests came within the window, further ones are
/// refused: forgetting one would let it be used again.
pub const MAX_NONCES: usize = 65_536;

/// Bytes of a nonce, decoded.
const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

/// The member `auth` of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Seconds since 1970.
    pub timestamp: u64,
    /// 16 to 64 random bytes, base64.
    pub nonce: String,
    /// 32 bytes, base64.
    pub signature: String,
}

/// Why a header is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The nonce is not base64 of a fitting length.
    #[error("the nonce is not base64 of 16 to 64 bytes")]
    BadNonce,
    /// It was made too long ago, or in the future, or before the daemon started.
    #[error("the timestamp is more than {WINDOW_SECONDS} s off, or from before the daemon's start")]
    OutOfWindow,
    /// The signature is not that of the key over this request.
    #[error("the signature is wrong")]
    WrongSignature,
    /// The same header came before.
    #[error("the nonce was used before")]
    Replayed,
    /// Too many requests came within the window.
    #[error("{MAX_NONCES} signed requests came within {WINDOW_SECONDS} s")]
    TooMany,
}

impl Header {
    /// Signs a request. `params` is the text of its parameters as it stands in the frame; empty
    /// without any.
    pub fn sign(key: &Key, call: &Call, params: &[u8], (timestamp, nonce): (u64, &[u8])) -> Self {
        let nonce = STANDARD.encode(nonce);
        let signature = STANDARD.encode(canonical(key, call, params, (timestamp, &nonce)));
        Self { timestamp, nonce, signature }
    }
}

fn canonical(key: &Key, call: &Call, params: &[u8], (timestamp, nonce): (u64, &str)) -> [u8; 32] {
    key.sign(&[
        LABEL,
        PROTOCOL.as_bytes(),
        b"header",
        call.method.as_bytes(),
        call.id.to_json().as_bytes(),
        timestamp.to_string().as_bytes(),
        nonce.as_bytes(),
        call.idem_key.as_deref().unwrap_or_default().as_bytes(),
        &Sha256::digest(params),
    ])
}

/// The text of the parameters as it stands in a frame.
pub fn params_text(frame: &[u8]) -> &[u8] {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        params: Option<&'a RawValue>,
    }
    let read: Result<Params<'_>, _> = serde_json::from_slice(frame);
    read.ok().and_then(|read| read.params).map_or(b"", |raw| raw.get().as_bytes())
}

/// Checks headers and remembers their nonces for as long as they could be used again.
#[derive(Debug)]
pub struct Headers {
    /// Headers of another life of the daemon are not taken: their nonces are not remembered.
    since_seconds: u64,
    used: HashSet<String>,
    by_time: BTreeSet<(u64, String)>,
}

impl Headers {
    /// Takes headers that are made from now on.
    pub fn new(started_at: Timestamp) -> Self {
        let since_seconds = started_at.unix_seconds() + 1;
        Self { since_seconds, used: HashSet::new(), by_time: BTreeSet::new() }
    }

    /// Whether this request was made by a holder of the key, now, and for the first time.
    pub fn check(
        &mut self,
        key: &Key,
        call: &Call,
        params: &[u8],
        now: Timestamp,
    ) -> Result<(), HeaderError> {
        let header = call.auth.as_ref().ok_or(HeaderError::WrongSignature)?;
        let nonce = STANDARD.decode(&header.nonce).map_err(|_| HeaderError::BadNonce)?;
        if !NONCE_BYTES.contains(&nonce.len()) {
            return Err(HeaderError::BadNonce);
        }
        let now = now.unix_seconds();
        if header.timestamp < self.since_seconds || now.abs_diff(header.timestamp) > WINDOW_SECONDS
        {
            return Err(HeaderError::OutOfWindow);
        }
        let given = STANDARD.decode(&header.signature).ok().and_then(|bytes| bytes.try_into().ok());
        let given: [u8; 32] = given.ok_or(HeaderError::WrongSignature)?;
        let expected = canonical(key, call, params, (header.timestamp, &header.nonce));
        if !are_equal(&expected, &given) {
            return Err(HeaderError::WrongSignature);
        }
        self.remember(header, now)
    }

    fn remember(&mut self, header: &Header, now: u64) -> Result<(), HeaderError> {
        // What is forgotten is too old for good, even if the clock is put back.
        self.since_seconds = self.since_seconds.max(now.saturating_sub(WINDOW_SECONDS));
        let too_old = (self.since_seconds, String::new());
        let kept = self.by_time.split_off(&too_old);
        for (_, nonce) in std::mem::replace(&mut self.by_time, kept) {
            self.used.remove(&nonce);
        }
        if self.used.contains(&header.nonce) {
            return Err(HeaderError::Replayed);
        }
        if self.used.len() >= MAX_NONCES {
            return Err(HeaderError::TooMany);
        }
        self.used.insert(header.nonce.clone());
        self.by_time.insert((header.timestamp, header.nonce.clone()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
