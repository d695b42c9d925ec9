//! Browsers that the user signed in: a code, which works once and soon, becomes a token (A2.5).
//!
//! The code stands in the fragment of a link, which browsers send to nobody; the page shows it and is
//! given the token, which it keeps in memory. Codes and tokens are kept as digests, and in memory only:
//! all of it ends with the daemon, and when the key is replaced.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cxo_protocol::methods::{Method as _, method};
use cxo_protocol::wire::Key;
use cxo_protocol::{Principal, Problem, Timestamp};

use crate::capabilities::{Capabilities, Capability, CapabilityId};
use crate::gate::{Right, unauthenticated};
use crate::keys::Keys;
use crate::token::Token;

/// How long a code works: for as long as a browser may take to start.
const CODE_GOOD_FOR_MS: u64 = 60_000;

/// Codes that are remembered, used ones included. The oldest is forgotten first.
const MAX_CODES: usize = 16;

/// How long a browser stays signed in: a working day.
const SIGNED_IN_FOR_MS: u64 = 12 * 3600 * 1000;

/// Browsers that are signed in at once. The oldest is signed out first.
const MAX_SIGNED_IN: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct SignIns {
    keys: Arc<Keys>,
    capabilities: Arc<Capabilities>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    codes: VecDeque<Code>,
    signed_in: VecDeque<SignedIn>,
}

/// A code that was given out.
#[derive(Debug)]
struct Code {
    /// What is kept of it.
    stored: Key,
    /// How often the key had been replaced.
    rotation: u64,
    expires_at: Timestamp,
    is_used: bool,
}

/// A browser that is signed in.
#[derive(Debug)]
struct SignedIn {
    stored: Key,
    rotation: u64,
    capability: CapabilityId,
}

/// A secret that was just made, and until when it is worth something.
pub(crate) struct Lasting {
    /// 64 hexadecimal digits.
    pub(crate) secret: String,
    /// Until when.
    pub(crate) expires_at: Timestamp,
}

impl SignIns {
    /// Nobody is signed in.
    pub(crate) fn new(keys: Arc<Keys>, capabilities: Arc<Capabilities>) -> Self {
        Self { keys, capabilities, state: Mutex::default() }
    }

    /// A code that works once.
    pub(crate) fn code(&self, now: Timestamp) -> Result<Lasting, Problem> {
        let token = Token::fresh()?;
        let expires_at = now.plus_millis(CODE_GOOD_FOR_MS);
        let mut state = self.lock();
        if state.codes.len() == MAX_CODES {
            state.codes.pop_front();
        }
        let stored = token.stored();
        let rotation = self.keys.rotation();
        state.codes.push_back(Code { stored, rotation, expires_at, is_used: false });
        Ok(Lasting { secret: token.reveal(), expires_at })
    }

    /// Signs in who shows a code: the token that it becomes, and the right that goes with it.
    pub(crate) fn redeem(&self, code: &str, now: Timestamp) -> Result<(Lasting, Right), Problem> {
        let shown = Key::from_hex(code).map(|code| code.stored());
        let token = Token::fresh()?;
        let rotations = self.keys.rotations();
        let rotation = *rotations.borrow();
        let mut state = self.lock();
        let found = state.codes.iter_mut().find(|code| Some(&code.stored) == shown.as_ref());
        match found {
            None => return Err(refused("the code is not known")),
            Some(code) if code.is_used => {
                tracing::warn!("a sign-in code came a second time, and was refused");
                return Err(refused("the code was used before"));
            }
            Some(code) if now >= code.expires_at || code.rotation != rotation => {
                return Err(refused("the code is too old"));
            }
            Some(code) => code.is_used = true,
        }
        let expires_at = now.plus_millis(SIGNED_IN_FOR_MS);
        let mut capability = Capability::whole(Principal::Gui, Some(expires_at));
        // Else it could stay for longer than that, by a code of its own making.
        capability.methods.remove(method::DashboardLink::ROW.name);
        let capability = self.capabilities.issue(capability);
        if state.signed_in.len() == MAX_SIGNED_IN
            && let Some(oldest) = state.signed_in.pop_front()
        {
            self.capabilities.revoke(oldest.capability);
        }
        state.signed_in.push_back(SignedIn { stored: token.stored(), rotation, capability });
        let lasting = Lasting { secret: token.reveal(), expires_at };
        Ok((lasting, Right::SignIn(capability, rotations)))
    }

    /// The right of who bears a token of which this is stored.
    pub(crate) fn of_token(&self, stored: &Key) -> Option<(Principal, Right)> {
        let rotations = self.keys.rotations();
        let rotation = *rotations.borrow();
        let state = self.lock();
        let found = state.signed_in.iter().find(|signed_in| signed_in.stored == *stored)?;
        if found.rotation != rotation {
            return None;
        }
        let principal = self.capabilities.look_up(found.capability)?.principal.clone();
        Some((principal, Right::SignIn(found.capability, rotations)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(why: &str) -> Problem {
    unauthenticated(why).try_next("cxo call dashboard.link")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn sign_ins(folder: &tempfile::TempDir) -> SignIns {
        let keys = Keys::open(&folder.path().join("keys/id")).unwrap();
        SignIns::new(Arc::new(keys), Arc::default())
    }

    fn why(refused: Result<(Lasting, Right), Problem>) -> String {
        refused.map(|_| ()).unwrap_err().why.join(", ")
    }

    /// [A2.5] A code works once and for a minute, and becomes a token that speaks as the user's screen.
    /// The token makes no further codes.
    #[test]
    fn a_code_works_once_and_soon() {
        let folder = tempfile::tempdir().unwrap();
        let sign_ins = sign_ins(&folder);
        let code = sign_ins.code(NOW).unwrap();
        let (token, _) = sign_ins.redeem(&code.secret, NOW).unwrap();
        let stored = Key::from_hex(&token.secret).unwrap().stored();
        let (principal, right) = sign_ins.of_token(&stored).unwrap();
        assert_eq!(principal, Principal::Gui);
        let Right::SignIn(id, _) = right else { panic!("{right:?}") };
        let may = sign_ins.capabilities.look_up(id).unwrap();
        assert!(may.methods.contains("run.start") && !may.methods.contains("dashboard.link"));
        assert_eq!(why(sign_ins.redeem(&code.secret, NOW)), "the code was used before");
        let code = sign_ins.code(NOW).unwrap();
        assert_eq!(why(sign_ins.redeem(&code.secret, code.expires_at)), "the code is too old");
        for unknown in ["", "0", &"0".repeat(64), &token.secret] {
            assert_eq!(why(sign_ins.redeem(unknown, NOW)), "the code is not known");
        }
    }

    /// [A2.1] [A2.5] Replacing the key signs everybody out and makes codes worthless.
    #[test]
    fn replacing_the_key_signs_everybody_out() {
        let folder = tempfile::tempdir().unwrap();
        let sign_ins = sign_ins(&folder);
        let [one, other] = [sign_ins.code(NOW).unwrap(), sign_ins.code(NOW).unwrap()];
        let (token, mut right) = sign_ins.redeem(&one.secret, NOW).unwrap();
        sign_ins.keys.rotate().unwrap();
        let stored = Key::from_hex(&token.secret).unwrap().stored();
        assert!(sign_ins.of_token(&stored).is_none());
        assert_eq!(why(sign_ins.redeem(&other.secret, NOW)), "the code is too old");
        let Right::SignIn(_, rotations) = &mut right else { panic!("{right:?}") };
        assert!(rotations.has_changed().unwrap(), "its connections hear of it");
    }

    /// [G25] However many sign in, so many are signed in: the oldest is signed out.
    #[test]
    fn the_oldest_is_signed_out_first() {
        let folder = tempfile::tempdir().unwrap();
        let sign_ins = sign_ins(&folder);
        let tokens: Vec<Key> = (0..=MAX_SIGNED_IN)
            .map(|_| {
                let code = sign_ins.code(fresh::now()).unwrap();
                let (token, _) = sign_ins.redeem(&code.secret, fresh::now()).unwrap();
                Key::from_hex(&token.secret).unwrap().stored()
            })
            .collect();
        assert!(sign_ins.of_token(&tokens[0]).is_none());
        assert!(tokens[1..].iter().all(|token| sign_ins.of_token(token).is_some()));
    }
}
