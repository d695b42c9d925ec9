//! The handshake: each side proves to the other that it holds the key, before anything else is
//! said (A2.3).
//!
//! ```text
//! client                                   daemon
//!   hello   (principal, client nonce)  →
//!           ← challenge (transport, daemon nonce, daemon's proof)
//!   proof   (client's proof)           →
//!           ← welcome (the first signed frame)
//! ```
//!
//! Both proofs and the keys of the connection are made over the same fields, so that a proof is of
//! no use in another role, on another transport, for another principal or on another connection.
//! It knows no sockets, no clock and no chance: nonces come in as arguments.

use serde::{Deserialize, Serialize};

use super::PROTOCOL;
use super::key::{Key, Nonce, are_equal, bytes_of, hex};
use super::signed::{Signer, Verifier};
use crate::problem::WireError;

/// What every signature begins with: nobody else's HMAC is one of ours.
pub(super) const LABEL: &[u8] = b"codex-orchestrator";

/// A frame of the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shake {
    /// The client says who it is.
    Hello(Hello),
    /// The daemon proves itself and asks for the same.
    Challenge(Challenge),
    /// The client proves itself.
    Proof(Proof),
    /// The connection is open. This is the first signed frame.
    Welcome,
    /// The connection is not opened, and is closed.
    Refused {
        /// Why.
        error: Box<WireError>,
    },
}

/// What a client begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The version of the protocol.
    pub protocol: String,
    /// Who the client is: `user`, `gui`, `agent:NAME`.
    pub principal: String,
    /// 64 hexadecimal digits.
    pub nonce: String,
    /// Which token will be shown: the first 16 digits of what is stored of it. Without it, the
    /// repository's key is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The principal of a hello by a token alone: the registered agent whose token it is.
pub const ANY_AGENT: &str = "agent";

/// What the daemon answers to a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// The version of the protocol.
    pub protocol: String,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// How the client came in: `uds`, `pipe`, or `tcp:PORT`.
    pub transport: String,
    /// 64 hexadecimal digits.
    pub nonce: String,
    /// The daemon's proof, 64 hexadecimal digits.
    pub proof: String,
}

/// What the client answers to a challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// 64 hexadecimal digits.
    pub proof: String,
    /// The token, 64 hexadecimal digits, if the hello named one. The daemon has proved by now
    /// that it knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Why a connection is not opened, or a frame not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// A frame of the handshake does not have the form that is wanted.
    #[error("the handshake is not understood")]
    Malformed,
    /// The other side speaks another version.
    #[error("the other side speaks another version of the protocol than {PROTOCOL}")]
    OtherProtocol,
    /// The daemon came to the client by another way than the client went.
    #[error("the daemon was reached by another way than it says")]
    OtherTransport,
    /// The daemon does not know the key.
    #[error("the daemon could not prove that it holds the key")]
    Impostor,
    /// The client does not know the key or the token.
    #[error("the client could not prove that it holds the key")]
    WrongProof,
    /// A frame has no signature where one is wanted.
    #[error("the frame is not signed")]
    NotSigned,
    /// A frame was forged, changed, repeated, left out, reordered or sent back.
    #[error("the signature of frame {counter} is wrong")]
    WrongSignature {
        /// The frame that was due, counted from 0 in its direction.
        counter: u64,
    },
}

/// What the proofs are made over.
#[derive(Debug, Clone)]
struct Transcript {
    transport: String,
    principal: String,
    daemon_nonce: Nonce,
    client_nonce: Nonce,
}

impl Transcript {
    fn sign(&self, key: &Key, role: &str) -> [u8; 32] {
        key.sign(&[
            LABEL,
            PROTOCOL.as_bytes(),
            self.transport.as_bytes(),
            role.as_bytes(),
            &self.daemon_nonce,
            &self.client_nonce,
            self.principal.as_bytes(),
        ])
    }

    /// The two directions' keys: from the client, from the daemon.
    fn frame_keys(&self, key: &Key) -> (Key, Key) {
        let root = Key::new(self.sign(key, "frames"));
        (root.derive(&[b"client"]), root.derive(&[b"daemon"]))
    }
}

/// Both directions of an open connection.
#[derive(Debug)]
pub struct Opened {
    /// Signs what goes out.
    pub signer: Signer,
    /// Checks what comes in.
    pub verifier: Verifier,
}

/// What the daemon knows of who says hello.
#[derive(Debug, Clone)]
pub enum Known {
    /// The repository's key.
    Key(Key),
    /// What is stored of a token.
    Token {
        /// See [`Key::stored`].
        stored: Key,
    },
}

/// How a daemon is to be recognised, and what it adds to a handshake.
#[derive(Debug, Clone)]
pub struct Daemon<'a> {
    /// Its version.
    pub version: &'a str,
    /// Its process id.
    pub pid: u32,
    /// How the client came in.
    pub transport: String,
    /// A fresh one for this connection.
    pub nonce: Nonce,
}

/// The daemon's side, between challenge and proof.
#[derive(Debug)]
pub struct Challenged {
    known: Known,
    transcript: Transcript,
}

impl Challenged {
    /// Answers a hello of somebody who is known.
    pub fn new(
        hello: &Hello,
        known: Known,
        daemon: Daemon<'_>,
    ) -> Result<(Self, Challenge), AuthError> {
        if hello.protocol != PROTOCOL {
            return Err(AuthError::OtherProtocol);
        }
        let client_nonce = bytes_of(&hello.nonce).ok_or(AuthError::Malformed)?;
        let transcript = Transcript {
            transport: daemon.transport.clone(),
            principal: hello.principal.clone(),
            daemon_nonce: daemon.nonce,
            client_nonce,
        };
        let key = match &known {
            Known::Key(key) | Known::Token { stored: key } => key,
        };
        let challenge = Challenge {
            protocol: PROTOCOL.to_owned(),
            version: daemon.version.to_owned(),
            pid: daemon.pid,
            transport: daemon.transport,
            nonce: hex(&daemon.nonce),
            proof: hex(&transcript.sign(key, "daemon")),
        };
        Ok((Self { known, transcript }, challenge))
    }

    /// Checks the client's proof.
    pub fn open(self, proof: &Proof) -> Result<Opened, AuthError> {
        let key = match (self.known, &proof.token) {
            (Known::Key(key), None) => key,
            (Known::Token { stored }, Some(shown)) => {
                let token = Key::from_hex(shown).ok_or(AuthError::Malformed)?;
                if token.stored() != stored {
                    return Err(AuthError::WrongProof);
                }
                token
            }
            (Known::Key(_), Some(_)) | (Known::Token { .. }, None) => {
                return Err(AuthError::WrongProof);
            }
        };
        let given = bytes_of(&proof.proof).ok_or(AuthError::WrongProof)?;
        if !are_equal(&self.transcript.sign(&key, "client"), &given) {
            return Err(AuthError::WrongProof);
        }
        let (client, daemon) = self.transcript.frame_keys(&key);
        Ok(Opened { signer: Signer::new(&daemon), verifier: Verifier::new(&client) })
    }
}

/// What a client proves itself with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The repository's key, as `user` or `gui`.
    Key(Key),
    /// A token of its own.
    Token(Key),
}

/// The client's side, between hello and challenge.
#[derive(Debug)]
pub struct Greeted {
    credential: Credential,
    principal: String,
    nonce: Nonce,
    /// How it went to the daemon.
    transport: String,
}

impl Greeted {
    /// Says hello by a transport: `uds`, `pipe`, or `tcp:PORT` with the port that was dialled.
    pub fn new(
        principal: &str,
        credential: Credential,
        nonce: Nonce,
        transport: String,
    ) -> (Self, Hello) {
        let token = match &credential {
            Credential::Key(_) => None,
            Credential::Token(token) => Some(token_id(&token.stored())),
        };
        let hello = Hello {
            protocol: PROTOCOL.to_owned(),
            principal: principal.to_owned(),
            nonce: hex(&nonce),
            token,
        };
        (Self { credential, principal: principal.to_owned(), nonce, transport }, hello)
    }

    /// Checks the daemon's proof and makes the client's. Frames may follow at once.
    pub fn open(self, challenge: &Challenge) -> Result<(Opened, Proof), AuthError> {
        if challenge.protocol != PROTOCOL {
            return Err(AuthError::OtherProtocol);
        }
        if challenge.transport != self.transport {
            return Err(AuthError::OtherTransport);
        }
        let daemon_nonce = bytes_of(&challenge.nonce).ok_or(AuthError::Malformed)?;
        let given = bytes_of(&challenge.proof).ok_or(AuthError::Impostor)?;
        let transcript = Transcript {
            transport: self.transport,
            principal: self.principal,
            daemon_nonce,
            client_nonce: self.nonce,
        };
        let (known, key, token) = match self.credential {
            Credential::Key(key) => (key.clone(), key, None),
            Credential::Token(token) => (token.stored(), token.clone(), Some(token)),
        };
        if !are_equal(&transcript.sign(&known, "daemon"), &given) {
            return Err(AuthError::Impostor);
        }
        let proof = Proof {
            proof: hex(&transcript.sign(&key, "client")),
            token: token.map(|token| token.to_hex().to_string()),
        };
        let (client, daemon) = transcript.frame_keys(&key);
        Ok((Opened { signer: Signer::new(&client), verifier: Verifier::new(&daemon) }, proof))
    }
}

/// How many digits of what is stored of a token name it.
pub const TOKEN_ID_DIGITS: usize = 16;

/// By which a token is named without being shown: the first digits of what is stored of it.
pub fn token_id(stored: &Key) -> String {
    stored.to_hex()[..TOKEN_ID_DIGITS].to_owned()
}

#[cfg(test)]
pub(super) mod tests;
