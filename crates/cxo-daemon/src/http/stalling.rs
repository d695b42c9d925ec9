//! A connection that ends when the other side reads nothing for a while: what is kept for it must not
//! be kept for ever. What it sends is read as far as its [intake](super::intake) allows.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::intake::Intake;

/// How long a reader may take none of what waits for it.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Stalling {
    stream: TcpStream,
    intake: Intake,
    /// Set while a write waits.
    until: Pin<Box<Sleep>>,
    waits: bool,
}

impl Stalling {
    pub(super) fn new(stream: TcpStream, intake: Intake) -> Self {
        Self { stream, intake, until: Box::pin(tokio::time::sleep(READ_WITHIN)), waits: false }
    }

    /// What a write came to, or that it waited too long.
    fn in_time<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = false;
            return written;
        }
        if !self.waits {
            self.waits = true;
            self.until.as_mut().reset(Instant::now() + READ_WITHIN);
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let allowed = ready!(self.intake.poll_allowed(context));
        let room = allowed.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
        self.intake.count(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// [A4.3] [G25] Who reads nothing for a while is cut off; who reads slowly is not.
    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut writer = Stalling::new(listener.accept().await.unwrap().0, Intake::default());
        // More than all the buffers on the way hold.
        let bytes = vec![0; 64 << 20];
        let slowly = async {
            let mut chunk = vec![0; 4 << 20];
            for _ in 0..4 {
                tokio::time::sleep(READ_WITHIN / 2).await;
                reader.read_exact(&mut chunk).await.unwrap();
            }
            tokio::time::Instant::now()
        };
        let (written, read_at) = tokio::join!(writer.write_all(&bytes), slowly);
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let waited = tokio::time::Instant::now() - read_at;
        assert!(waited > READ_WITHIN / 2, "it was cut off while it read: {waited:?}");
    }
}
