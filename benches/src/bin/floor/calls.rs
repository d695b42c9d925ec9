//! Signed calls over a Unix socket, answered with nothing done.

use anyhow::{Context, Result, bail};
use cxo_protocol::wire::handshake::{Challenged, Daemon, Known, Opened, Shake};
use cxo_protocol::wire::{Call, Decoder, Framing, Key, MAX_REQUEST_BYTES};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::writer::Rows;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 16 * 1024;

struct Peer {
    stream: UnixStream,
    decoder: Decoder,
    chunk: Vec<u8>,
}

/// Serves whoever holds the key.
pub(super) async fn serve(socket: UnixListener, key: Key, rows: Rows) -> Result<()> {
    loop {
        let (stream, _) = socket.accept().await?;
        let (key, rows) = (key.clone(), rows.clone());
        tokio::spawn(async move {
            let decoder = Decoder::with_framing(Framing::Lines, MAX_REQUEST_BYTES);
            let mut peer = Peer { stream, decoder, chunk: vec![0; READ_AT_ONCE] };
            let opened = peer.let_in(key).await?;
            peer.answer(opened, &rows).await
        });
    }
}

impl Peer {
    async fn let_in(&mut self, key: Key) -> Result<Opened> {
        let Shake::Hello(hello) = serde_json::from_slice(&self.frame().await?)? else {
            bail!("no hello");
        };
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)?;
        let (version, transport) = (env!("CARGO_PKG_VERSION"), "uds".to_owned());
        let daemon = Daemon { version, pid: std::process::id(), transport, nonce };
        let (challenged, challenge) = Challenged::new(&hello, Known::Key(key), daemon)?;
        self.line(&serde_json::to_vec(&Shake::Challenge(challenge))?).await?;
        let Shake::Proof(proof) = serde_json::from_slice(&self.frame().await?)? else {
            bail!("no proof");
        };
        let mut opened = challenged.open(&proof)?;
        let welcome = opened.signer.sign(&serde_json::to_vec(&Shake::Welcome)?);
        self.line(&welcome).await?;
        Ok(opened)
    }

    async fn answer(&mut self, mut opened: Opened, rows: &Rows) -> Result<()> {
        loop {
            let frame = self.frame().await?;
            let body = opened.verifier.open(&frame)?;
            let call = Call::read(body).ok().context("no call")?;
            let result = if call.method == "lock.status" {
                json!({ "locked": false })
            } else {
                rows.insert(String::from_utf8_lossy(body).into_owned()).await?;
                json!({ "success": true })
            };
            let answer = call.envelope.answer(Some(&call.id), Ok(&result));
            self.line(&opened.signer.sign(answer.as_bytes())).await?;
        }
    }

    async fn frame(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(frame.to_vec());
            }
            let count = self.stream.read(&mut self.chunk).await?;
            if count == 0 {
                bail!("the client is gone");
            }
            self.decoder.push(&self.chunk[..count]);
        }
    }

    async fn line(&mut self, body: &[u8]) -> Result<()> {
        let mut line = Vec::with_capacity(body.len() + 1);
        line.extend_from_slice(body);
        line.push(b'\n');
        Ok(self.stream.write_all(&line).await?)
    }
}
