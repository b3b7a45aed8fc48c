//! A deadline for the bytes that tell HTTP/1 from HTTP/2.
//!
//! hyper-util reads those before any of hyper's own timeouts begins, and would wait for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How an HTTP/2 connection begins. The first byte that differs makes it HTTP/1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails if it does not soon show which protocol it speaks.
#[derive(Debug)]
pub(super) struct FirstBytes<S> {
    stream: S,
    seen: usize,
    /// Absent once the protocol is known.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    pub(super) fn within(time: Duration, stream: S) -> Self {
        Self { stream, seen: 0, deadline: Some(Box::pin(sleep(time))) }
    }

    fn note(&mut self, bytes: &[u8]) {
        let expected = &PREFACE[self.seen..];
        let is_http2_so_far = bytes.iter().zip(expected).all(|(a, b)| a == b);
        self.seen += bytes.len().min(expected.len());
        if !is_http2_so_far || self.seen == PREFACE.len() {
            self.deadline = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if self.deadline.is_some() {
                    self.note(&buf.filled()[before..]);
                }
                Poll::Ready(result)
            }
            Poll::Pending => match &mut self.deadline {
                Some(deadline) => {
                    ready!(deadline.as_mut().poll(cx));
                    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
                }
                None => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const TIME: Duration = Duration::from_secs(5);

    async fn read_after(sent: &[u8]) -> io::Result<usize> {
        let (mut far, near) = duplex(64);
        let mut near = FirstBytes::within(TIME, near);
        far.write_all(sent).await.unwrap();
        let mut buf = [0; 64];
        let mut seen = 0;
        while seen < sent.len() {
            seen += near.read(&mut buf).await?;
        }
        tokio::time::timeout(TIME * 2, near.read(&mut buf)).await.unwrap_or(Ok(seen))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_and_half_a_preface_time_out() {
        for sent in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
            assert_eq!(read_after(sent).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_protocol_is_known_there_is_no_deadline() {
        for sent in [&b"G"[..], b"POST", b"PRIx", PREFACE] {
            assert_eq!(read_after(sent).await.unwrap(), sent.len());
        }
    }
}
