//! TCP on 127.0.0.1, and on nothing else (A1.2). Any user of the machine can connect there; the
//! handshake keeps them out.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tokio::net::TcpListener;

/// Binds a port of this machine, 0 for any, and writes it down.
pub(crate) async fn bind(port: u16, port_file: &Path) -> io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = listener.local_addr()?.port();
    let beside = port_file.with_extension("port-new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(format!("{port}\n").as_bytes())?;
    std::fs::rename(&beside, port_file)?;
    Ok((listener, port))
}
