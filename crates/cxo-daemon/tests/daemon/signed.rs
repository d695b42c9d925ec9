//! A client that does the handshake as it should, and then sends whatever a test likes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use cxo_protocol::key_file;
use cxo_protocol::wire::handshake::{Credential, Greeted, Opened, Shake};
use serde_json::Value;

/// See the module.
pub(crate) struct Signed {
    pub(crate) stream: BufReader<UnixStream>,
    pub(crate) opened: Opened,
}

/// A frame that comes as a line; empty at the end of the connection.
pub(crate) fn line(stream: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Sends a line.
pub(crate) fn send(stream: &mut BufReader<UnixStream>, body: &[u8]) {
    stream.get_mut().write_all(body).unwrap();
    stream.get_mut().write_all(b"\n").unwrap();
}

impl Signed {
    /// Comes in as the user.
    pub(crate) fn enter(stream: BufReader<UnixStream>, key_file: &Path) -> Self {
        let key = key_file::read(key_file).unwrap();
        Self::enter_as(stream, "user", Credential::Key(key)).expect("the user is let in")
    }

    /// Comes in as anybody, if that one is let in with this.
    pub(crate) fn enter_as(
        mut stream: BufReader<UnixStream>,
        principal: &str,
        credential: Credential,
    ) -> Option<Self> {
        let (greeted, hello) = Greeted::new(principal, credential, [5; 32], "uds".to_owned());
        send(&mut stream, &serde_json::to_vec(&Shake::Hello(hello)).unwrap());
        let Ok(Shake::Challenge(challenge)) = serde_json::from_str(&line(&mut stream)) else {
            return None;
        };
        let (mut opened, proof) = greeted.open(&challenge).ok()?;
        send(&mut stream, &serde_json::to_vec(&Shake::Proof(proof)).unwrap());
        let welcome = line(&mut stream);
        let welcome = opened.verifier.open(welcome.as_bytes()).ok()?;
        assert_eq!(welcome, br#"{"type":"welcome"}"#);
        Some(Self { stream, opened })
    }

    /// Sends a body as the next signed frame.
    pub(crate) fn send(&mut self, body: &[u8]) {
        let frame = self.opened.signer.sign(body);
        send(&mut self.stream, &frame);
    }

    /// The next body that comes; nothing at the end of the connection.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let frame = line(&mut self.stream);
        if frame.is_empty() {
            return None;
        }
        let body = self.opened.verifier.open(frame.as_bytes()).unwrap();
        Some(serde_json::from_slice(body).unwrap())
    }

    /// The answer to a body.
    pub(crate) fn ask(&mut self, body: &[u8]) -> Value {
        self.send(body);
        self.hear().expect("an answer")
    }
}
