//! The client: one blocking connection to the repository's daemon.
//!
//! It proves that it holds the repository's key, and sees the daemon prove the same before it says
//! anything else. It starts nothing and decides nothing; who wants a daemon to be there starts one
//! first.

mod link;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use serde_json::Value;

use crate::address::{Address, Way};
use crate::key_file::{self, KeyFileError};
use crate::methods::{Method, method};
use crate::params::{EventsSubscribe, Subscribed};
use crate::topic::TopicEvent;
use crate::wire::envelope::{Incoming, Outgoing};
use crate::wire::handshake::{ANY_AGENT, Challenge, Credential, Greeted, Opened, Shake};
use crate::wire::signed::SIGNATURE_BYTES;
use crate::wire::{
    Activity, AuthError, CallId, Decoder, Envelope, Framing, Key, MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES, PROTOCOL,
};
use crate::{Code, Line, Problem};

pub use link::{Answered, Asked, Link, Noticed};
use stream::{Dialled, Stream};

/// How long an answer may take: a diff of a large run is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// How long the daemon may take for each step of the handshake.
const SHAKE_WITHIN: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: Stream,
    decoder: Decoder,
    opened: Opened,
    daemon: Challenge,
    last_id: u64,
    pushed: VecDeque<Pushed>,
}

/// As whom to connect.
#[derive(Debug, Clone)]
pub enum Identity {
    /// As the user, by the repository's key.
    User,
    /// As the registered agent whose token this is.
    Token(Key),
}

/// Something that the daemon sent by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// An event.
    Event(Box<Line>),
    /// What an agent does.
    Activity(Activity),
    /// Events are missing after this position: subscribe again from there.
    Gap(u64),
    /// An event of a topic.
    Topic(Box<TopicEvent>),
    /// Every event of the topics up to this position was sent.
    CaughtUp(u64),
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens there.
    #[error("no daemon listens")]
    NotThere(#[source] io::Error),
    /// The connection broke, or what came is not the protocol.
    #[error("the connection to the daemon broke: {0}")]
    Lost(#[source] io::Error),
    /// What answers could not prove that it is this repository's daemon.
    #[error("what answers is not this repository's daemon: {0}")]
    Impostor(#[source] AuthError),
    /// The daemon speaks another version of the protocol.
    #[error("the daemon {version} speaks protocol {protocol}, this client speaks {PROTOCOL}")]
    OtherProtocol {
        /// The daemon's version.
        version: String,
        /// Its protocol's.
        protocol: String,
    },
    /// The key cannot be read, or the request cannot be sent.
    #[error("{0}")]
    NotSent(Box<Problem>),
    /// The daemon refused.
    #[error("{0}")]
    Refused(Box<Problem>),
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) | CallError::NotSent(problem) => *problem,
            CallError::Impostor(source) => {
                Self::new(Code::Impostor, "what answers is not this repository's daemon")
                    .because(source.to_string())
                    .keeping("nothing was asked of it")
                    .try_next("cxo daemon start")
            }
            error @ CallError::OtherProtocol { .. } => {
                Self::new(Code::DaemonNewer, "the daemon speaks another protocol than this command")
                    .because(error.to_string())
                    .keeping("nothing was changed, runs go on")
                    .try_next("use the newer cxo")
            }
            CallError::NotThere(source) => {
                Self::new(Code::NoDaemon, "no daemon answers for this repository")
                    .because(source.to_string())
                    .try_next("cxo daemon start")
            }
            CallError::Lost(source) => {
                Self::new(Code::ConnectionLost, "the connection to the daemon broke")
                    .because(source.to_string())
                    .keeping("runs go on, nothing is lost")
                    .try_next("cxo status")
            }
        }
    }
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CallError {
    CallError::Lost(io::Error::new(io::ErrorKind::InvalidData, what))
}

impl Client {
    /// Connects as the user, by the first of the address's ways where somebody answers.
    pub fn connect(address: &Address) -> Result<Self, CallError> {
        Self::connect_as(address, &Identity::User)
    }

    /// Connects as somebody, by the first of the address's ways where somebody answers.
    pub fn connect_as(address: &Address, identity: &Identity) -> Result<Self, CallError> {
        let (principal, credential) = match identity {
            Identity::User => ("user", Credential::Key(user_key(address)?)),
            Identity::Token(token) => (ANY_AGENT, Credential::Token(token.clone())),
        };
        let mut not_there = None;
        for way in address.transport.ways() {
            match Self::connect_by(*way, address, (principal, credential.clone())) {
                Err(CallError::NotThere(error)) => {
                    not_there.get_or_insert(error);
                }
                connected => return connected,
            }
        }
        Err(CallError::NotThere(not_there.unwrap_or(io::ErrorKind::NotFound.into())))
    }

    fn connect_by(
        way: Way,
        address: &Address,
        (principal, credential): (&str, Credential),
    ) -> Result<Self, CallError> {
        let Dialled { stream, transport } = stream::dial(way, address)?;
        stream.set_read_timeout(Some(SHAKE_WITHIN)).map_err(CallError::Lost)?;
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|error| CallError::Lost(io::Error::other(error)))?;
        let (greeted, hello) = Greeted::new(principal, credential, nonce, transport);
        let limit = MAX_ANSWER_BYTES + SIGNATURE_BYTES;
        let mut wire = (stream, Decoder::with_framing(Framing::Lines, limit));
        send(&mut wire.0, to_json(&Shake::Hello(hello))?.as_bytes()).map_err(not_there)?;
        let frame = next_frame(&mut wire).map_err(gone_is_not_there)?;
        let daemon = match serde_json::from_slice(&frame) {
            Ok(Shake::Challenge(challenge)) => challenge,
            Ok(Shake::Refused { error }) => {
                return Err(CallError::Refused(Box::new(error.data.problem)));
            }
            Ok(Shake::Hello(_) | Shake::Proof(_) | Shake::Welcome) | Err(_) => {
                return Err(CallError::Impostor(AuthError::Malformed));
            }
        };
        let (mut opened, proof) = greeted.open(&daemon).map_err(|error| {
            if error == AuthError::OtherProtocol {
                let (version, protocol) = (daemon.version.clone(), daemon.protocol.clone());
                return CallError::OtherProtocol { version, protocol };
            }
            CallError::Impostor(error)
        })?;
        send(&mut wire.0, to_json(&Shake::Proof(proof))?.as_bytes()).map_err(CallError::Lost)?;
        let frame = next_frame(&mut wire).map_err(gone_is_not_there)?;
        if let Ok(Shake::Refused { error }) = serde_json::from_slice(&frame) {
            return Err(CallError::Refused(Box::new(error.data.problem)));
        }
        let welcome = opened.verifier.open(&frame).map_err(CallError::Impostor)?;
        if !matches!(serde_json::from_slice(welcome), Ok(Shake::Welcome)) {
            return Err(CallError::Impostor(AuthError::Malformed));
        }
        let (stream, decoder) = wire;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(CallError::Lost)?;
        Ok(Self { stream, decoder, opened, daemon, last_id: 0, pushed: VecDeque::new() })
    }

    /// Who answers.
    pub fn daemon(&self) -> &Challenge {
        &self.daemon
    }

    /// Calls a method and waits for its answer.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Reply, CallError> {
        let params = serde_json::to_value(params).map_err(invalid)?;
        let result = self.call_by_name(M::ROW.name, &params, None)?;
        serde_json::from_value(result).map_err(invalid)
    }

    /// Calls a method by its name on the wire. The same call with the same key has its effect once.
    pub fn call_by_name(
        &mut self,
        method: &str,
        params: &Value,
        idem_key: Option<&str>,
    ) -> Result<Value, CallError> {
        self.last_id += 1;
        let call = Outgoing { id: self.last_id, idem_key, method, params };
        let id = CallId::Number(call.id);
        let body = Envelope::JsonRpc.request(&call).map_err(invalid)?;
        if body.len() + SIGNATURE_BYTES > MAX_REQUEST_BYTES {
            return Err(CallError::NotSent(Box::new(too_large())));
        }
        let frame = self.opened.signer.sign(body.as_bytes());
        send(&mut self.stream, &frame).map_err(CallError::Lost)?;
        loop {
            let body = self.next_body()?;
            let incoming: Incoming<'_> = serde_json::from_slice(&body).map_err(invalid)?;
            if let Some(pushed) = pushed(&incoming)? {
                self.pushed.push_back(pushed);
                continue;
            }
            if let Some(error) = incoming.error {
                return Err(CallError::Refused(Box::new(error.data.problem)));
            }
            if incoming.id.as_ref() == Some(&id) {
                let raw = incoming.result.map_or("null", |raw| raw.get());
                return serde_json::from_str(raw).map_err(invalid);
            }
        }
    }

    /// Asks for events; [`Client::next_pushed`] gives them.
    pub fn subscribe(&mut self, what: &EventsSubscribe) -> Result<Subscribed, CallError> {
        let subscribed = self.call::<method::EventsSubscribe>(what)?;
        self.stream.set_read_timeout(None).map_err(CallError::Lost)?;
        Ok(subscribed)
    }

    /// Waits for what the daemon sends next. `None` when `within` passes first.
    pub fn next_pushed(&mut self, within: Option<Duration>) -> Result<Option<Pushed>, CallError> {
        if let Some(pushed) = self.pushed.pop_front() {
            return Ok(Some(pushed));
        }
        // A time limit of zero is refused by the system; the smallest one is meant.
        let within = within.map(|wait| wait.max(Duration::from_millis(1)));
        loop {
            let body = match self.waiting_body()? {
                Some(body) => body,
                None if self.decoder.has_begun() => self.next_body()?,
                None => {
                    self.stream.set_read_timeout(within).map_err(CallError::Lost)?;
                    match stream::read_some(&mut self.stream, &mut self.decoder) {
                        Ok(()) => {}
                        Err(error) if is_timeout(&error) => return Ok(None),
                        Err(error) => return Err(CallError::Lost(error)),
                    }
                    self.stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(CallError::Lost)?;
                    continue;
                }
            };
            let incoming: Incoming<'_> = serde_json::from_slice(&body).map_err(invalid)?;
            if let Some(pushed) = pushed(&incoming)? {
                return Ok(Some(pushed));
            }
        }
    }

    /// The body of a frame that is already here.
    fn waiting_body(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        match self.decoder.next_frame().map_err(invalid)? {
            Some(frame) => {
                let body = self.opened.verifier.open(frame).map_err(CallError::Impostor)?;
                Ok(Some(body.to_vec()))
            }
            None => Ok(None),
        }
    }

    fn next_body(&mut self) -> Result<Vec<u8>, CallError> {
        loop {
            if let Some(body) = self.waiting_body()? {
                return Ok(body);
            }
            stream::read_some(&mut self.stream, &mut self.decoder).map_err(CallError::Lost)?;
        }
    }
}

fn user_key(address: &Address) -> Result<Key, CallError> {
    key_file::read(&address.key_file).map_err(|error| {
        if matches!(error, KeyFileError::Missing) {
            // Whoever serves this repository has made a key.
            return CallError::NotThere(io::ErrorKind::NotFound.into());
        }
        CallError::NotSent(Box::new(error.problem(&address.key_file)))
    })
}

fn too_large() -> Problem {
    Problem::new(Code::TooLarge, "the request is too large")
        .because(format!("a request has at most {MAX_REQUEST_BYTES} bytes"))
        .keeping("nothing was sent")
}

fn to_json(shake: &Shake) -> Result<String, CallError> {
    serde_json::to_string(shake).map_err(invalid)
}

fn send(stream: &mut Stream, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 1);
    Framing::Lines.encode(body, &mut bytes).map_err(io::Error::other)?;
    stream.write_all(&bytes)
}

/// A frame of the handshake.
fn next_frame((stream, decoder): &mut (Stream, Decoder)) -> Result<Vec<u8>, CallError> {
    loop {
        if let Some(frame) = decoder.next_frame().map_err(invalid)? {
            return Ok(frame.to_vec());
        }
        stream::read_some(stream, decoder).map_err(CallError::Lost)?;
    }
}

/// A daemon that is about to leave closes the connection without a word.
fn gone_is_not_there(error: CallError) -> CallError {
    if let CallError::Lost(source) = error { not_there(source) } else { error }
}

fn not_there(error: io::Error) -> CallError {
    if was_closed(&error) { CallError::NotThere(error) } else { CallError::Lost(error) }
}

fn was_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn pushed(incoming: &Incoming<'_>) -> Result<Option<Pushed>, CallError> {
    let (Some(method), Some(params)) = (&incoming.method, incoming.params) else { return Ok(None) };
    let params = params.get();
    Ok(match method.as_str() {
        "event" => Some(Pushed::Event(serde_json::from_str(params).map_err(invalid)?)),
        "activity" => Some(Pushed::Activity(serde_json::from_str(params).map_err(invalid)?)),
        "gap" => Some(Pushed::Gap(position(params)?)),
        "pubsub.event" => Some(Pushed::Topic(serde_json::from_str(params).map_err(invalid)?)),
        "pubsub.caughtUp" => Some(Pushed::CaughtUp(position(params)?)),
        _ => None,
    })
}

fn position(params: &str) -> Result<u64, CallError> {
    let value: Value = serde_json::from_str(params).map_err(invalid)?;
    Ok(value.get("seq").and_then(Value::as_u64).unwrap_or_default())
}
