//! Frames over a stream: read into a bounded buffer, written as they are.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cxo_protocol::wire::{Decoder, FrameError, Framing, MAX_REQUEST_BYTES};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How long the first four bytes of a frame that has begun may take (A1.6).
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// How long a frame that has begun may take as a whole.
const FRAME_WITHIN: Duration = Duration::from_secs(30);

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 16 * 1024;

/// A longer frame needs one of the places that all connections share.
const LONG_FRAME_BYTES: usize = 64 * 1024;

/// A stream with frames.
pub(super) struct Wire<R, W> {
    read: R,
    write: W,
    decoder: Decoder,
    chunk: Vec<u8>,
    /// When the frame that is being read began.
    began_at: Option<Instant>,
    room: Arc<Semaphore>,
    /// The place that a long frame has.
    place: Option<OwnedSemaphorePermit>,
}

/// There will be no further frame.
#[derive(Debug)]
pub(super) enum End {
    /// The other side is gone, or too slow.
    Gone,
    /// It sends what is no frame.
    Broken(FrameError),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Wire<R, W> {
    /// Frames over this stream; long ones when there is room.
    pub(super) fn new(read: R, write: W, room: Arc<Semaphore>) -> Self {
        Self {
            read,
            write,
            decoder: Decoder::new(MAX_REQUEST_BYTES),
            chunk: vec![0; READ_AT_ONCE],
            began_at: None,
            room,
            place: None,
        }
    }

    /// Long frames have their room here from now on.
    pub(super) fn share(&mut self, room: Arc<Semaphore>) {
        self.room = room;
    }

    /// The framing that the client chose.
    pub(super) fn framing(&self) -> Framing {
        self.decoder.framing().unwrap_or(Framing::Lines)
    }

    /// A frame that is already here.
    pub(super) fn waiting(&mut self) -> Result<Option<&[u8]>, End> {
        let frame = self.decoder.next_frame().map_err(End::Broken)?;
        if frame.is_some() {
            // The time of the next frame is its own.
            self.began_at = None;
        }
        Ok(frame)
    }

    /// The next frame.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, End> {
        loop {
            if let Some(frame) = self.waiting()? {
                return Ok(frame.to_vec());
            }
            self.fill().await?;
        }
    }

    /// Reads what comes next. Nothing is lost when this is given up.
    pub(super) async fn fill(&mut self) -> Result<(), End> {
        if self.decoder.held_bytes() <= LONG_FRAME_BYTES {
            self.place = None;
        }
        let count = if self.decoder.has_begun() {
            let began_at = *self.began_at.get_or_insert_with(Instant::now);
            let within = if self.decoder.has_header() { FRAME_WITHIN } else { HEADER_WITHIN };
            let read = timeout_at(began_at + within, self.read_within_room()).await;
            read.map_err(|_| End::Gone)??
        } else {
            self.began_at = None;
            self.read.read(&mut self.chunk).await?
        };
        if count == 0 {
            // Its sender died or thought better of it: half a request is none.
            return Err(End::Gone);
        }
        self.decoder.push(&self.chunk[..count]);
        Ok(())
    }

    async fn read_within_room(&mut self) -> io::Result<usize> {
        if self.place.is_none() && self.decoder.held_bytes() > LONG_FRAME_BYTES {
            self.place = self.room.clone().acquire_owned().await.ok();
        }
        self.read.read(&mut self.chunk).await
    }

    /// Writes bytes that are framed already.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await
    }

    /// Writes one frame.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<(), End> {
        let mut bytes = Vec::with_capacity(body.len() + 4);
        self.framing().encode(body, &mut bytes).map_err(End::Broken)?;
        Ok(self.write(&bytes).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a frame of which only this comes, and how long that takes.
    async fn stalled(bytes: &[u8]) -> (bool, Duration) {
        let (mut client, daemon) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(daemon);
        let mut wire = Wire::new(read, write, Arc::new(Semaphore::new(1)));
        client.write_all(bytes).await.unwrap();
        let began = Instant::now();
        let end = wire.next().await;
        (matches!(end, Err(End::Gone)), began.elapsed())
    }

    /// [A1.6] [G18] A header that stalls for five seconds ends the connection, whatever comes in
    /// the meantime; so does, later, a frame that never becomes whole. A connection that says
    /// nothing owes nothing.
    #[tokio::test(start_paused = true)]
    async fn a_header_that_stalls_ends_the_connection() {
        for header in [&b"{"[..], b"\x02\0", b"{\"i"] {
            assert_eq!(stalled(header).await, (true, HEADER_WITHIN), "{header:?}");
        }
        for frame in [&b"{\"id\":1"[..], b"\x20\0\0\0{}"] {
            assert_eq!(stalled(frame).await, (true, FRAME_WITHIN), "{frame:?}");
        }
        assert_eq!(HEADER_WITHIN, Duration::from_secs(5));
        let silent = tokio::time::timeout(FRAME_WITHIN * 10, stalled(b""));
        assert!(silent.await.is_err(), "who says nothing was sent away");
    }

    /// [A1.6] [G18] A byte at a time does not win time.
    #[tokio::test(start_paused = true)]
    async fn a_header_that_trickles_ends_the_connection() {
        let (mut client, daemon) = tokio::io::duplex(64);
        let (read, write) = tokio::io::split(daemon);
        let mut wire = Wire::new(read, write, Arc::new(Semaphore::new(1)));
        let trickle = async {
            for _ in 0..3 {
                client.write_all(b"{").await.unwrap();
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        tokio::select! {
            end = wire.next() => assert!(matches!(end, Err(End::Gone))),
            () = trickle => {}
        }
        assert_eq!(began.elapsed(), HEADER_WITHIN);
    }
}
