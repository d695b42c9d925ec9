//! The HTTP port of a world's daemon, spoken to byte by byte.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;

use cxo_protocol::methods::method;
use cxo_protocol::params::Nothing;
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

use crate::world::{AT_MOST, World};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Web {
    pub(crate) port: u16,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// Status line and headers, in small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Web {
    /// The port of a daemon that was started with HTTP.
    pub(crate) fn of(world: &World) -> Self {
        let file = world.socket().with_file_name("http.port");
        Self { port: std::fs::read_to_string(file).unwrap().trim().parse().unwrap() }
    }

    pub(crate) fn host(self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(AT_MOST)).unwrap();
        stream
    }

    /// Sends a request as it is written here, and reads to the end.
    pub(crate) fn raw(self, request: &[u8]) -> Answered {
        let mut stream = self.connect();
        // It may answer and close before it has read everything.
        let _ = stream.write_all(request);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answered { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// A request with these headers beside `Host`.
    pub(crate) fn ask(self, line: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request =
            format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.host());
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").unwrap();
        }
        if !body.is_empty() {
            write!(request, "Content-Length: {}\r\n", body.len()).unwrap();
        }
        self.raw(format!("{request}\r\n{body}").as_bytes())
    }

    /// `POST /rpc` with a token.
    pub(crate) fn rpc(self, token: &str, body: &str) -> Answered {
        let bearer = format!("Bearer {token}");
        let headers = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
        self.ask("POST /rpc", &headers, body)
    }

    /// A WebSocket of the daemon's own page, on which nothing was said.
    pub(crate) fn socket(self) -> WebSocket<TcpStream> {
        let mut request = format!("ws://{}/ws", self.host()).into_client_request().unwrap();
        let origin = format!("http://{}", self.host());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        tungstenite::client(request, self.connect()).unwrap().0
    }
}

/// A code from a link of the user's.
pub(crate) fn code(world: &World) -> String {
    let link = world.client().call::<method::DashboardLink>(&Nothing {}).unwrap();
    link.url.split_once("/#code=").unwrap().1.to_owned()
}

/// Says something on a WebSocket.
pub(crate) fn say(socket: &mut WebSocket<TcpStream>, message: &Value) {
    socket.send(Message::text(message.to_string())).unwrap();
}

/// The next message; nothing when it was closed.
pub(crate) fn hear(socket: &mut WebSocket<TcpStream>) -> Option<Value> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// A browser that was signed in, and the token that it was given.
pub(crate) fn signed_in(world: &World, web: Web) -> (WebSocket<TcpStream>, String) {
    let mut socket = web.socket();
    say(&mut socket, &json!({"type": "code", "code": code(world)}));
    let welcome = hear(&mut socket).expect("a welcome");
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let token = welcome["token"].as_str().unwrap().to_owned();
    (socket, token)
}
