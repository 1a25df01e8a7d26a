//! A byte stream whose kind does not matter: TCP, TLS, a tunnel, a pipe in a test.

use tokio::io::{AsyncRead, AsyncWrite};

/// A duplex byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A duplex byte stream of any kind.
pub type BoxIo = Box<dyn Io>;
