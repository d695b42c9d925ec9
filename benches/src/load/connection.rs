//! One connection of a client: opened by the handshake, every frame signed.

use anyhow::{Context, Result, bail};
use cxo_protocol::wire::envelope::{Incoming, Outgoing};
use cxo_protocol::wire::handshake::{Credential, Greeted, Opened, Shake};
use cxo_protocol::wire::{CallId, Decoder, Envelope, Framing, MAX_ANSWER_BYTES};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::Target;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// A connection that the server let in.
pub(super) struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    opened: Opened,
    last_id: u64,
    out: Vec<u8>,
    chunk: Vec<u8>,
}

impl Connection {
    /// Connects and proves itself, and sees the server do the same.
    pub(super) async fn open(target: &Target) -> Result<Self> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)?;
        let credential = Credential::Key(target.key.clone());
        let (greeted, hello) = Greeted::new("user", credential, nonce, "uds".to_owned());
        let mut stream = UnixStream::connect(&target.socket).await?;
        let mut decoder = Decoder::with_framing(Framing::Lines, MAX_ANSWER_BYTES);
        let mut chunk = vec![0; READ_AT_ONCE];
        write_line(&mut stream, &Shake::Hello(hello)).await?;
        let frame = read_frame(&mut stream, &mut decoder, &mut chunk).await?;
        let Shake::Challenge(challenge) = serde_json::from_slice(&frame)? else {
            bail!("the server refused: {}", String::from_utf8_lossy(&frame));
        };
        let (mut opened, proof) = greeted.open(&challenge)?;
        write_line(&mut stream, &Shake::Proof(proof)).await?;
        let frame = read_frame(&mut stream, &mut decoder, &mut chunk).await?;
        opened.verifier.open(&frame).context("the server did not let this client in")?;
        Ok(Self { stream, decoder, opened, last_id: 0, out: Vec::new(), chunk })
    }

    /// Calls a method and waits for its answer, which must be a result. What is pushed meanwhile
    /// is passed over.
    pub(super) async fn call(&mut self, method: &str, params: &Value) -> Result<()> {
        self.last_id += 1;
        let call = Outgoing { id: self.last_id, idem_key: None, method, params };
        let request = Envelope::JsonRpc.request(&call)?;
        self.out.clear();
        Framing::Lines.encode(&self.opened.signer.sign(request.as_bytes()), &mut self.out)?;
        self.stream.write_all(&self.out).await?;
        let wanted = CallId::Number(self.last_id);
        loop {
            while let Some(frame) = self.decoder.next_frame()? {
                let body = self.opened.verifier.open(frame)?;
                let incoming: Incoming<'_> = serde_json::from_slice(body)?;
                if let Some(error) = incoming.error {
                    bail!("{method} was refused: {}", error.data.problem);
                }
                if incoming.id.as_ref() == Some(&wanted) {
                    return Ok(());
                }
            }
            fill(&mut self.stream, &mut self.decoder, &mut self.chunk).await?;
        }
    }

    /// Waits for something to be pushed, and shows the method of all that came at once.
    pub(super) async fn pushed(&mut self, mut seen: impl FnMut(&str)) -> Result<()> {
        let mut came = false;
        loop {
            while let Some(frame) = self.decoder.next_frame()? {
                let body = self.opened.verifier.open(frame)?;
                let incoming: Incoming<'_> = serde_json::from_slice(body)?;
                seen(incoming.method.as_deref().unwrap_or_default());
                came = true;
            }
            if came {
                return Ok(());
            }
            fill(&mut self.stream, &mut self.decoder, &mut self.chunk).await?;
        }
    }
}

async fn write_line(stream: &mut UnixStream, shake: &Shake) -> Result<()> {
    let mut line = serde_json::to_vec(shake)?;
    line.push(b'\n');
    Ok(stream.write_all(&line).await?)
}

async fn read_frame(
    stream: &mut UnixStream,
    decoder: &mut Decoder,
    chunk: &mut [u8],
) -> Result<Vec<u8>> {
    loop {
        if let Some(frame) = decoder.next_frame()? {
            return Ok(frame.to_vec());
        }
        fill(stream, decoder, chunk).await?;
    }
}

async fn fill(stream: &mut UnixStream, decoder: &mut Decoder, chunk: &mut [u8]) -> Result<()> {
    let count = stream.read(chunk).await?;
    if count == 0 {
        bail!("the server closed the connection");
    }
    decoder.push(&chunk[..count]);
    Ok(())
}
