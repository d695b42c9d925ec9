//! The control socket: who may connect, lines in, lines out.
//!
//! It turns bytes into requests and messages into bytes. It must not know what a request does.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::procfs;
use super::wire::{MAX_LINE_BYTES, MAX_UNSENT_BYTES, Message, Refusal, Request};

/// How many may be connected. One daemon is usual, two during a hand-over; the rest is for tools.
const MAX_CONNECTIONS: usize = 16;

/// How much of one connection is read before the others have their turn.
const READ_AT_ONCE_BYTES: usize = 256 * 1024;

/// How many bad lines a peer may send before it is cut off: it does not speak this protocol.
const MAX_BAD_LINES: u32 = 16;

/// How much of a parser's complaint is passed on.
const MAX_DETAIL_CHARS: usize = 200;

/// Who gets a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Everybody who is connected.
    All,
    /// The connection with this token.
    One(u64),
}

struct Connection {
    stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    bad_lines: u32,
    /// Set when the event loop also waits for it to become writable.
    waits_to_write: bool,
    /// Set when it is closed as soon as the outbox is sent.
    closing: bool,
}

/// The listener and all connections.
pub(super) struct Control {
    listener: UnixListener,
    connections: BTreeMap<u64, Connection>,
    /// When the last connection went, or the listener came.
    pub(super) alone_since: Option<Instant>,
}

impl Control {
    pub(super) fn new(listener: UnixListener, now: Instant) -> Self {
        Self { listener, connections: BTreeMap::new(), alone_since: Some(now) }
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Takes new connections; `token` makes the token of each. Returns those that were taken.
    pub(super) fn accept(&mut self, epoll: impl AsFd, mut token: impl FnMut() -> u64) -> Vec<u64> {
        let mut new = Vec::new();
        while let Ok((stream, _)) = self.listener.accept() {
            let token = token();
            let mut connection = Connection {
                stream,
                inbox: Vec::new(),
                outbox: Vec::new(),
                bad_lines: 0,
                waits_to_write: false,
                closing: false,
            };
            let refusal = stranger(&connection.stream)
                .or_else(|| (self.connections.len() >= MAX_CONNECTIONS).then(too_many));
            if let Some(why) = refusal {
                // It is told if it listens; nothing is kept of it in any case.
                connection.put(&Message::Denied { why });
                let _ = connection.stream.set_nonblocking(true);
                let _ = connection.push();
                continue;
            }
            let ready = connection.stream.set_nonblocking(true).is_ok()
                && epoll::add(
                    &epoll,
                    &connection.stream,
                    EventData::new_u64(token),
                    EventFlags::IN,
                )
                .is_ok();
            if ready {
                self.connections.insert(token, connection);
                new.push(token);
            }
        }
        if !self.connections.is_empty() {
            self.alone_since = None;
        }
        new
    }

    pub(super) fn holds(&self, token: u64) -> bool {
        self.connections.contains_key(&token)
    }

    /// Reads what has come and returns the whole requests in it. A bad line is answered here.
    pub(super) fn read(&mut self, token: u64, now: Instant) -> Vec<Request> {
        let Some(connection) = self.connections.get_mut(&token) else { return Vec::new() };
        let open = connection.fill();
        let requests = connection.take_requests();
        if !open || (connection.closing && connection.outbox.is_empty()) {
            self.drop_connection(token, now);
        }
        requests
    }

    /// Queues a message. It is sent by [`Control::push`].
    pub(super) fn put(&mut self, to: To, message: &Message) {
        match to {
            To::All => self.connections.values_mut().for_each(|each| each.put(message)),
            To::One(token) => {
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.put(message);
                }
            }
        }
    }

    /// Sends what is queued, as far as it goes without waiting.
    pub(super) fn push(&mut self, epoll: impl AsFd, now: Instant) {
        let mut gone = Vec::new();
        for (token, connection) in &mut self.connections {
            if connection.push().is_err() || connection.outbox.len() > MAX_UNSENT_BYTES {
                gone.push(*token);
                continue;
            }
            let waits = !connection.outbox.is_empty();
            if connection.closing && !waits {
                gone.push(*token);
            } else if waits != connection.waits_to_write {
                let flags = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                let data = EventData::new_u64(*token);
                connection.waits_to_write = waits;
                if epoll::modify(&epoll, &connection.stream, data, flags).is_err() {
                    gone.push(*token);
                }
            }
        }
        for token in gone {
            self.drop_connection(token, now);
        }
    }

    fn drop_connection(&mut self, token: u64, now: Instant) {
        // Closing takes it out of the event loop.
        self.connections.remove(&token);
        if self.connections.is_empty() {
            self.alone_since = Some(now);
        }
    }
}

fn too_many() -> Refusal {
    Refusal::TooMany { what: "connections".into(), limit: MAX_CONNECTIONS }
}

/// Why this peer is not let in. Another user is not; nor is a process that is supervised itself:
/// a confined agent could otherwise have an unconfined process started.
fn stranger(stream: &UnixStream) -> Option<Refusal> {
    let no = |whom: &str| Some(Refusal::NotForYou { whom: whom.to_owned() });
    let Ok(peer) = rustix::net::sockopt::socket_peercred(stream) else {
        return no("unknown peers");
    };
    if peer.uid != rustix::process::geteuid() {
        return no("other users");
    }
    match procfs::descends(peer.pid.as_raw_nonzero().get(), procfs::own_pid()) {
        Some(false) => None,
        Some(true) => no("processes that are supervised"),
        None => no("peers that are gone"),
    }
}

impl Connection {
    /// Reads what there is. Whether more can come.
    fn fill(&mut self) -> bool {
        let mut chunk = [0_u8; 16 * 1024];
        let mut read_bytes = 0;
        while read_bytes < READ_AT_ONCE_BYTES {
            match rustix::io::read(&self.stream, &mut chunk) {
                Ok(0) => return false,
                Ok(read) => {
                    self.inbox.extend_from_slice(&chunk[..read]);
                    read_bytes += read;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn take_requests(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while !self.closing {
            let Some(end) = rest.iter().position(|b| *b == b'\n') else { break };
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            match serde_json::from_slice(line) {
                Ok(request) => requests.push(request),
                Err(error) => {
                    let detail = error.to_string().escape_debug().take(MAX_DETAIL_CHARS).collect();
                    self.put(&Message::Denied { why: Refusal::BadRequest { detail } });
                    self.bad_lines += 1;
                    self.closing = self.bad_lines >= MAX_BAD_LINES;
                }
            }
        }
        if rest.len() > MAX_LINE_BYTES {
            self.put(&Message::Denied { why: Refusal::LineTooLong { limit: MAX_LINE_BYTES } });
            self.closing = true;
        }
        if !self.closing {
            self.inbox = rest.to_vec();
        }
        requests
    }

    fn put(&mut self, message: &Message) {
        // Writing these types to memory cannot fail.
        if serde_json::to_writer(&mut self.outbox, message).is_ok() {
            self.outbox.push(b'\n');
        }
    }

    fn push(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let result = loop {
            if sent == self.outbox.len() {
                break Ok(());
            }
            match rustix::io::write(&self.stream, &self.outbox[sent..]) {
                Ok(written) => sent += written,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        self.outbox.drain(..sent);
        result
    }
}
