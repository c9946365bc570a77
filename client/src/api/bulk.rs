//! Large reads on both sides of TLS: few system calls below it, few frames above it.
//!
//! rustls asks for 4 KiB at a time and gives back one record at a time. Below it [`ahead`] takes what has arrived in one go, above it
//! [`gathered`] hands on what has been opened in one go.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tower_service::Service;

/// Bytes that are taken from a socket at once.
const AHEAD: usize = 256 * 1024;
/// Bytes that are handed on at once.
const GATHERED: usize = 128 * 1024;

/// Makes `stream` read ahead.
fn ahead<T: Read>(stream: T) -> Ahead<T> {
    Line(TokioIo::new(BufReader::with_capacity(AHEAD, TokioIo::new(stream))))
}

/// Makes reads of `stream` take as much as there is.
fn gathered<T>(stream: T) -> Gathered<T> {
    Line(TokioIo::new(Gather(TokioIo::new(stream))))
}

/// The connections of `connector`, read ahead: for what goes below TLS.
pub(super) fn reading_ahead<C, T: Read>(connector: C) -> ReadingAhead<C, T> {
    let wrap = ahead;
    Wrapping { connector, wrap }
}

/// The connections of `connector`, whose reads are gathered: for what goes above TLS.
pub(super) fn gathering<C, T>(connector: C) -> Gathering<C, T> {
    let wrap = gathered;
    Wrapping { connector, wrap }
}

/// A connection that is read ahead.
pub(super) type Ahead<T> = Line<BufReader<TokioIo<T>>>;
/// A connection whose reads are gathered.
pub(super) type Gathered<T> = Line<Gather<TokioIo<T>>>;
/// A connector of connections that are read ahead.
pub(super) type ReadingAhead<C, T> = Wrapping<C, T, Ahead<T>>;
/// A connector of connections whose reads are gathered.
pub(super) type Gathering<C, T> = Wrapping<C, T, Gathered<T>>;

/// A connector whose connections are wrapped.
#[derive(Debug)]
pub(super) struct Wrapping<C, T, W> {
    connector: C,
    wrap: fn(T) -> W,
}

impl<C: Clone, T, W> Clone for Wrapping<C, T, W> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            wrap: self.wrap,
        }
    }
}

impl<C, T, W> Service<Uri> for Wrapping<C, T, W>
where
    C: Service<Uri, Response = T>,
    C::Future: Send + 'static,
    T: 'static,
    W: 'static,
{
    type Response = W;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<W, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, gateway: Uri) -> Self::Future {
        let (connecting, wrap) = (self.connector.call(gateway), self.wrap);
        Box::pin(async move { connecting.await.map(wrap) })
    }
}

/// A wrapped connection.
#[derive(Debug)]
pub(super) struct Line<S>(TokioIo<S>);

impl<S: AsyncRead + Unpin> Read for Line<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> Write for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<T: Connection + Read> Connection for Ahead<T> {
    fn connected(&self) -> Connected {
        self.0.inner().get_ref().inner().connected()
    }
}

impl<T: Connection> Connection for Gathered<T> {
    fn connected(&self) -> Connected {
        self.0.inner().0.inner().connected()
    }
}

/// A stream whose reads take as much as there is.
#[derive(Debug)]
pub(super) struct Gather<S>(S);

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

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

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
