//! What a client says before anything is agreed: the name it wants. It is read without being consumed,
//! so that the connection can still be passed on whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// A client's greeting is one record, rarely two, of at most 16 KiB.
const MAX_BYTES: usize = 40 << 10;

/// A client's greeting.
#[derive(Debug, Default)]
pub(crate) struct Hello {
    /// Lower case; empty for none.
    pub(crate) server_name: String,
    /// All that was read, which the next reader must see first.
    pub(crate) read: Vec<u8>,
}

/// Reads until the greeting is complete.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Hello> {
    let mut read = Vec::with_capacity(1024);
    loop {
        if read.len() > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the TLS greeting is too long",
            ));
        }
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(server_name) = parse(&read)? {
            return Ok(Hello { server_name, read });
        }
    }
}

/// The name in a greeting, once it is complete.
fn parse(bytes: &[u8]) -> io::Result<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest)?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Ok(Some(
                    accepted
                        .client_hello()
                        .server_name()
                        .unwrap_or_default()
                        .to_ascii_lowercase(),
                ));
            }
            Ok(None) => {}
            Err((error, _)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
    Ok(None)
}

/// A stream that gives bytes read before once more.
#[derive(Debug)]
pub(crate) struct Prefixed<S> {
    before: Vec<u8>,
    given: usize,
    stream: S,
}

impl<S> Prefixed<S> {
    pub(crate) fn new(before: Vec<u8>, stream: S) -> Self {
        Self {
            before,
            given: 0,
            stream,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.before.get(self.given..).unwrap_or_default();
        if rest.is_empty() {
            self.before = Vec::new();
            self.given = 0;
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..count).unwrap_or_default());
        self.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
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
