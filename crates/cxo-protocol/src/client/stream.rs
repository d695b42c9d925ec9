//! A connected stream, and the ways to get one.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::CallError;
use crate::address::{Address, Way};
use crate::wire::Decoder;
use crate::{Code, Problem};

/// How long a port of this machine may take to answer.
const DIAL_WITHIN: Duration = Duration::from_secs(2);

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// A connected stream.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A stream, and what the handshake calls the way that it took.
pub(super) struct Dialled {
    pub(super) stream: Stream,
    pub(super) transport: String,
}

/// Connects by one way.
pub(super) fn dial(way: Way, address: &Address) -> Result<Dialled, CallError> {
    match way {
        Way::Uds => {
            let stream = UnixStream::connect(&address.socket).map_err(CallError::NotThere)?;
            Ok(Dialled { stream: Stream::Unix(stream), transport: "uds".to_owned() })
        }
        // There are no named pipes on this system.
        Way::Pipe => Err(CallError::NotThere(io::ErrorKind::Unsupported.into())),
        Way::Tcp => {
            let text = std::fs::read_to_string(&address.port_file).map_err(CallError::NotThere)?;
            let target = target(text.trim())?;
            let stream =
                TcpStream::connect_timeout(&target, DIAL_WITHIN).map_err(CallError::NotThere)?;
            stream.set_nodelay(true).map_err(CallError::Lost)?;
            let transport = format!("tcp:{}", target.port());
            Ok(Dialled { stream: Stream::Tcp(stream), transport })
        }
    }
}

/// What a port file says: a port of this machine, and never another machine (A1.2).
fn target(text: &str) -> Result<SocketAddr, CallError> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    let refused = |why: &str| {
        let problem = Problem::new(Code::Impostor, format!("the port file says `{shown}`"))
            .because(why)
            .keeping("nothing was sent")
            .try_next("cxo daemon stop; cxo daemon start");
        CallError::NotSent(Box::new(problem))
    };
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(refused("a daemon is only ever on this machine")),
        Err(_) => Err(refused("that is no port")),
    }
}

impl Stream {
    pub(super) fn set_read_timeout(&self, within: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.set_read_timeout(within),
            Self::Tcp(stream) => stream.set_read_timeout(within),
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    pub(super) fn shut_down(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        }
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
        }
    }
}

/// Reads what is there, or waits for something.
pub(super) fn read_some(stream: &mut Stream, decoder: &mut Decoder) -> io::Result<()> {
    let mut bytes = [0; READ_AT_ONCE];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                decoder.push(&bytes[..count]);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [A1.2] A port file leads to this machine or nowhere.
    #[test]
    fn a_port_file_leads_to_this_machine_or_nowhere() {
        assert_eq!(target("4711").unwrap().to_string(), "127.0.0.1:4711");
        assert_eq!(target("127.0.0.1:4711").unwrap().port(), 4711);
        assert_eq!(target("[::1]:4711").unwrap().port(), 4711);
        for bad in ["0.0.0.0:80", "10.0.0.1:80", "example.org:80", "65536", "-1", ""] {
            assert!(matches!(target(bad), Err(CallError::NotSent(_))), "{bad}");
        }
    }
}
