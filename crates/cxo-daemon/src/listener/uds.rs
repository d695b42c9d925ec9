//! The Unix socket: only this user's processes, which the system vouches for (A1.1).

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::net::{UnixListener, UnixStream};

/// Binds a socket that only this user can reach, in a directory that only this user can enter.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            vacate(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Takes a stale socket away. One that somebody listens on stays, whoever holds which lock (A1.5).
pub(super) fn vacate(path: &Path) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        // With as many waiting as may wait, the next one is told to come again.
        Ok(()) | Err(Errno::AGAIN) => {
            let peer = socket_peercred(&probe).map(|peer| peer.pid.as_raw_nonzero());
            let who = peer.map_or("a process".to_owned(), |pid| format!("process {pid}"));
            let why = format!("{who} listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path),
        Err(error) => Err(error.into()),
    }
}

/// The process at the other end, if it is this user's. It is asked before a byte is read.
pub(super) fn own_peer(stream: &UnixStream) -> Option<Peer> {
    let uid = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().ok()?;
    (peer.uid() == uid).then(|| Peer { pid: peer.pid() })
}

/// A process of this user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    /// Its id, where the system tells it.
    pub(super) pid: Option<i32>,
}
