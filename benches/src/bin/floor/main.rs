//! `cxo-bench-floor DIR`: the least that a server like ours can cost, to measure ours against. It
//! prints `ready PORT` and serves until its standard input ends.
//!
//! - `DIR/floor.sock`, with the key of `DIR/key`: frames are signed and parsed as ours are.
//!   `lock.status` is answered from memory; any other call is one row in a database of its own,
//!   durable before it is answered, many of them in one commit.
//! - `http://127.0.0.1:PORT/events` and `/publish`: every subscriber gets every event (`fan_out`).

mod calls;
mod fan_out;
mod writer;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context, Result};
use cxo_protocol::key_file;
use tokio::net::{TcpListener, UnixListener};

fn main() -> Result<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).context("which directory?")?);
    let key = key_file::read(&dir.join("key"))?;
    let rows = writer::start(&dir.join("floor.db"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = UnixListener::bind(dir.join("floor.sock"))?;
        let http = TcpListener::bind("127.0.0.1:0").await?;
        let port = http.local_addr()?.port();
        tokio::spawn(calls::serve(socket, key, rows));
        tokio::spawn(fan_out::serve(http));
        writeln!(std::io::stdout(), "ready {port}")?;
        // Whoever measures holds the other end.
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}
