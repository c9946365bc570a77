//! Large reads on both sides of TLS: few system calls below it, few frames above it.
//!
//! rustls asks for 4 KiB at a time and gives back one record at a time. Below it [`ReadAhead`] takes what has arrived in one go, above it
//! [`Gather`] hands on what has been opened in one go. A connection that waits holds none of it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are taken from a socket at once.
const AHEAD: usize = 32 * 1024;
/// Buffers that are kept for the next connection that needs one.
const SPARE: usize = 16;
/// Bytes that are handed on at once.
const GATHERED: usize = 32 * 1024;

/// Buffers that go from connection to connection.
#[derive(Debug, Clone, Default)]
pub(super) struct SpareBuffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl SpareBuffers {
    fn take(&self) -> Box<[u8]> {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| vec![0; AHEAD].into_boxed_slice())
    }

    fn give_back(&self, buffer: Box<[u8]>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.push(buffer);
        }
    }
}

/// A stream that is read further than it is asked to be, while there is more.
#[derive(Debug)]
pub(super) struct ReadAhead<S> {
    stream: S,
    spare: SpareBuffers,
    held: Option<Held>,
    /// The last read filled all that there was room for, so more has probably arrived.
    is_busy: bool,
}

/// Bytes that were read and not taken yet.
#[derive(Debug)]
struct Held {
    buffer: Box<[u8]>,
    taken: usize,
    end: usize,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(stream: S, spare: SpareBuffers) -> Self {
        Self {
            stream,
            spare,
            held: None,
            is_busy: false,
        }
    }

    /// Hands out what is held. The buffer goes back when it is empty.
    fn hand_out(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let Some(held) = &mut self.held else {
            return false;
        };
        let rest = held.buffer.get(held.taken..held.end).unwrap_or_default();
        let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
        buf.put_slice(now);
        held.taken += now.len();
        if later.is_empty()
            && let Some(held) = self.held.take()
        {
            self.spare.give_back(held.buffer);
        }
        true
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.hand_out(buf) {
            return Poll::Ready(Ok(()));
        }
        if !self.is_busy || buf.remaining() >= AHEAD {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.is_busy = buf.remaining() == 0;
            return Poll::Ready(Ok(()));
        }
        let mut buffer = self.spare.take();
        let mut room = ReadBuf::new(&mut buffer);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut room);
        let end = room.filled().len();
        self.is_busy = end == AHEAD;
        if end == 0 {
            self.spare.give_back(buffer);
            return read;
        }
        self.held = Some(Held { buffer, taken: 0, end });
        self.hand_out(buf);
        Poll::Ready(Ok(()))
    }
}

/// A stream whose reads take as much as there is.
#[derive(Debug)]
pub(super) struct Gather<S>(pub(super) S);

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        while buf.remaining() > 0 && buf.filled().len() - before < GATHERED {
            let had = buf.filled().len();
            match Pin::new(&mut self.0).poll_read(cx, buf) {
                Poll::Ready(Ok(())) if buf.filled().len() > had => {}
                // What was read before goes first; an end or an error is met again by the next read.
                _ if had > before => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Writes go through as they are.
macro_rules! write_through {
    ($type:ident, $inner:tt) => {
        impl<S: AsyncWrite + Unpin> AsyncWrite for $type<S> {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$inner).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.$inner).poll_write_vectored(cx, slices)
            }

            fn is_write_vectored(&self) -> bool {
                self.$inner.is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$inner).poll_flush(cx)
            }

            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.$inner).poll_shutdown(cx)
            }
        }
    };
}

write_through!(ReadAhead, stream);
write_through!(Gather, 0);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_read_ahead_comes_in_order_and_the_buffer_goes_back() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * AHEAD + 11).collect();
        let (mut far, near) = duplex(2 * AHEAD);
        let sent = bytes.clone();
        let sending = tokio::spawn(async move { far.write_all(&sent).await });
        let spare = SpareBuffers::default();
        let mut stream = ReadAhead::new(near, spare.clone());
        let (mut read, mut small, mut was_held) = (Vec::new(), [0; 4096], false);
        loop {
            let len = stream.read(&mut small).await.unwrap();
            if len == 0 {
                break;
            }
            read.extend_from_slice(&small[..len]);
            was_held |= stream.held.is_some();
        }
        sending.await.unwrap().unwrap();
        assert!(was_held, "nothing was read ahead");
        assert!(stream.held.is_none());
        assert_eq!(spare.0.lock().unwrap().len(), 1);
        assert_eq!(read, bytes);
    }

    #[tokio::test]
    async fn one_read_gathers_what_several_would_give() {
        let (mut far, near) = duplex(1000);
        far.write_all(&[1; 1000]).await.unwrap();
        let mut stream = Gather(near.take(600).chain(&[2; 10][..]));
        let mut room = [0; 900];
        assert_eq!(stream.read(&mut room).await.unwrap(), 610);
        assert_eq!((room[599], room[600]), (1, 2));
        assert_eq!(stream.read(&mut room).await.unwrap(), 0, "the end is still told");
    }
}
