//! Listening on a Unix socket for gRPC clients in any language.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, UdsConnectInfo};

use crate::authority::AuthorityFilter;

/// Binds `path` for root only; a socket without a listener is replaced.
///
/// # Errors
/// When another process answers on it, or the directory cannot be written.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{} is in use by another process", path.display()),
        ));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The stream of connections that tonic's `serve_with_incoming` needs.
#[derive(Debug)]
pub struct Incoming(UnixListener);

impl Incoming {
    /// Accepts from `listener`.
    #[must_use]
    pub fn new(listener: UnixListener) -> Self {
        Self(listener)
    }
}

impl Stream for Incoming {
    type Item = io::Result<UnixConnection>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .poll_accept(cx)
            .map(|accepted| Some(accepted.map(|(stream, _)| UnixConnection::new(stream))))
    }
}

/// One accepted connection whose `:authority` values are made acceptable to `h2`.
#[derive(Debug)]
pub struct UnixConnection {
    stream: UnixStream,
    filter: AuthorityFilter,
}

impl UnixConnection {
    /// Wraps an accepted stream.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            filter: AuthorityFilter::default(),
        }
    }
}

impl Connected for UnixConnection {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.connect_info()
    }
}

/// Bytes read from the socket at once: one frame of the default maximum size.
const CHUNK_BYTES: usize = 16 << 10;

impl AsyncRead for UnixConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.filter.drain(out) {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0_u8; CHUNK_BYTES];
            let mut buf = ReadBuf::new(&mut chunk);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) if buf.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => this.filter.push(buf.filled()),
            }
        }
    }
}

impl AsyncWrite for UnixConnection {
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
}
