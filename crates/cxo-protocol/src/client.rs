//! The client: one blocking connection to the repository's daemon over its Unix socket.
//!
//! It starts nothing and decides nothing; who wants a daemon to be there starts one first.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::methods::{Method, method};
use crate::params::{EventsSubscribe, Subscribed};
use crate::wire::{Activity, Call, Hello, Incoming, MAX_LINE_BYTES};
use crate::{Code, Line, Problem};

/// How long an answer may take: a diff of a large run is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// How long the daemon may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<UnixStream>,
    writer: UnixStream,
    hello: Hello,
    last_id: u64,
    pushed: VecDeque<Pushed>,
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
    /// The daemon refused.
    #[error("{0}")]
    Refused(Box<Problem>),
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => *problem,
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
    /// Connects and waits for the daemon's hello.
    pub fn connect(socket: &Path) -> Result<Self, CallError> {
        let stream = UnixStream::connect(socket).map_err(CallError::NotThere)?;
        stream.set_read_timeout(Some(HELLO_WITHIN)).map_err(CallError::Lost)?;
        let writer = stream.try_clone().map_err(CallError::Lost)?;
        let mut reader = BufReader::new(stream);
        // A daemon that is about to leave closes the connection without a word.
        let line = read_line(&mut reader).map_err(|error| match error {
            CallError::Lost(source) if was_closed(&source) => CallError::NotThere(source),
            other @ (CallError::NotThere(_) | CallError::Lost(_) | CallError::Refused(_)) => other,
        })?;
        let incoming: Incoming<'_> = serde_json::from_str(&line).map_err(invalid)?;
        let (Some("hello"), Some(params)) = (incoming.method, incoming.params) else {
            return Err(invalid("no hello"));
        };
        let hello = serde_json::from_str(params.get()).map_err(invalid)?;
        reader.get_ref().set_read_timeout(Some(ANSWER_WITHIN)).map_err(CallError::Lost)?;
        Ok(Self { reader, writer, hello, last_id: 0, pushed: VecDeque::new() })
    }

    /// Who answers.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Calls a method and waits for its answer.
    pub fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Reply, CallError> {
        let params = serde_json::to_value(params).map_err(invalid)?;
        let result = self.call_by_name(M::ROW.name, params)?;
        serde_json::from_value(result).map_err(invalid)
    }

    /// Calls a method by its name on the wire.
    pub fn call_by_name(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        self.last_id += 1;
        let id = self.last_id;
        let call = Call { jsonrpc: "2.0".to_owned(), id, method: method.to_owned(), params };
        let mut text = serde_json::to_vec(&call).map_err(invalid)?;
        text.push(b'\n');
        self.writer.write_all(&text).map_err(CallError::Lost)?;
        loop {
            let line = read_line(&mut self.reader)?;
            let incoming: Incoming<'_> = serde_json::from_str(&line).map_err(invalid)?;
            if let Some(pushed) = pushed(&incoming)? {
                self.pushed.push_back(pushed);
                continue;
            }
            if let Some(error) = incoming.error {
                return Err(CallError::Refused(Box::new(error.data)));
            }
            if incoming.id == Some(id) {
                let raw = incoming.result.map_or("null", |raw| raw.get());
                return serde_json::from_str(raw).map_err(invalid);
            }
        }
    }

    /// Asks for events; [`Client::next_pushed`] gives them.
    pub fn subscribe(&mut self, what: &EventsSubscribe) -> Result<Subscribed, CallError> {
        let subscribed = self.call::<method::EventsSubscribe>(what)?;
        self.reader.get_ref().set_read_timeout(None).map_err(CallError::Lost)?;
        Ok(subscribed)
    }

    /// Waits for what the daemon sends next. `None` when `within` passes first.
    pub fn next_pushed(&mut self, within: Option<Duration>) -> Result<Option<Pushed>, CallError> {
        if let Some(pushed) = self.pushed.pop_front() {
            return Ok(Some(pushed));
        }
        // A time limit of zero is refused by the system; the smallest one is meant.
        let within = within.map(|wait| wait.max(Duration::from_millis(1)));
        if self.reader.buffer().is_empty() {
            self.reader.get_ref().set_read_timeout(within).map_err(CallError::Lost)?;
            match self.reader.fill_buf() {
                Ok(_) => {}
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) => return Err(CallError::Lost(error)),
            }
            self.reader.get_ref().set_read_timeout(Some(ANSWER_WITHIN)).map_err(CallError::Lost)?;
        }
        loop {
            let line = read_line(&mut self.reader)?;
            let incoming: Incoming<'_> = serde_json::from_str(&line).map_err(invalid)?;
            if let Some(pushed) = pushed(&incoming)? {
                return Ok(Some(pushed));
            }
        }
    }
}

fn was_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn pushed(incoming: &Incoming<'_>) -> Result<Option<Pushed>, CallError> {
    let (Some(method), Some(params)) = (incoming.method, incoming.params) else { return Ok(None) };
    let params = params.get();
    Ok(match method {
        "event" => Some(Pushed::Event(serde_json::from_str(params).map_err(invalid)?)),
        "activity" => Some(Pushed::Activity(serde_json::from_str(params).map_err(invalid)?)),
        "gap" => {
            let value: Value = serde_json::from_str(params).map_err(invalid)?;
            Some(Pushed::Gap(value.get("seq").and_then(Value::as_u64).unwrap_or_default()))
        }
        _ => None,
    })
}

fn read_line(reader: &mut BufReader<UnixStream>) -> Result<String, CallError> {
    let mut line = Vec::new();
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CallError::Lost(error)),
        };
        if chunk.is_empty() {
            return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(chunk.len(), |end| end + 1);
        line.extend_from_slice(&chunk[..taken]);
        reader.consume(taken);
        if line.len() > MAX_LINE_BYTES {
            return Err(invalid("a line from the daemon is too long"));
        }
        if end.is_some() {
            line.pop();
            return String::from_utf8(line).map_err(invalid);
        }
    }
}
