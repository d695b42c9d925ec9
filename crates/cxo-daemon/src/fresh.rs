//! Randomness and the clock: the only place where either enters.

use std::time::{SystemTime, UNIX_EPOCH};

use cxo_protocol::wire::Key;
use cxo_protocol::wire::key::KEY_BYTES;
use cxo_protocol::{Code, Problem, RunId, Timestamp};

/// Letters and digits that cannot be taken for each other, 32 of them.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters of a run's id behind its `r`. With four, a repository of a thousand runs meets a
/// taken id once in a thousand starts; it is then drawn again.
const RUN_CHARS: usize = 4;

/// The present.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random letters and digits.
pub(crate) fn letters(count: usize) -> String {
    let mut bytes = vec![0_u8; count];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of randomness the time has to do; ids are looked up before use.
        let mut seed = now().0 ^ u64::from(std::process::id()).rotate_left(32);
        for byte in &mut bytes {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = seed.to_be_bytes()[0];
        }
    }
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// A run's id that is not taken.
pub(crate) fn run_id(is_taken: impl Fn(&RunId) -> bool) -> RunId {
    let mut chars = RUN_CHARS;
    loop {
        if let Ok(id) = RunId::new(&format!("r{}", letters(chars)))
            && !is_taken(&id)
        {
            return id;
        }
        chars = (chars + 1).min(RUN_CHARS * 4);
    }
}

/// A random secret. Unlike names, it is never made of the time.
pub(crate) fn secret() -> Result<Key, Problem> {
    nonce().map(Key::new)
}

/// 32 random bytes.
pub(crate) fn nonce() -> Result<[u8; KEY_BYTES], Problem> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Problem::new(Code::Internal, "the system has no randomness").because(error.to_string())
    })?;
    Ok(bytes)
}
