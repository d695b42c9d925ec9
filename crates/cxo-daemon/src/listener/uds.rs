//! The Unix socket: only this user's processes, which the system vouches for (A1.1).

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

/// Binds a socket that only this user can reach, in a directory that only this user can enter.
pub(super) fn bind(path: &Path) -> io::Result<UnixListener> {
    // The lock that makes this process the daemon is held: whatever is there is stale.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
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
