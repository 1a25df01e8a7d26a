//! What can go wrong below a handler.

use std::io;

/// Any error a body or a service may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Failures of the helpers in this crate.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket could not be reached, read or written.
    #[error("connection failed")]
    Io(#[from] io::Error),
    /// The peer answered something that is not HTTP, or broke off.
    #[error("HTTP exchange failed")]
    Http(#[from] hyper::Error),
    /// A body ended with an error.
    #[error("body failed")]
    Body(#[source] BoxError),
    /// A body is longer than the limit that was given, in bytes.
    #[error("body is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// There is no room left for a body among others.
    #[error("too many bytes at once")]
    NoRoom,
    /// A peer speaks plain HTTP on a port that speaks TLS.
    #[error("plain HTTP on a TLS port")]
    PlainHttp,
    /// The request asks for no upgrade, or for one that is malformed.
    #[error("not a valid upgrade request: {0}")]
    NotAnUpgrade(&'static str),
    /// The client offers no WebSocket subprotocol that the server speaks.
    #[error("no supported WebSocket subprotocol: client offers {offered:?}")]
    Subprotocol {
        /// What the client offers.
        offered: Vec<String>,
    },
    /// A WebSocket broke, or the client does not follow the protocol.
    #[error("the WebSocket broke")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    /// A message could not be built from its parts.
    #[error("message cannot be built")]
    Message(#[from] http::Error),
    /// Nothing came within the time allowed.
    #[error("timed out {0}")]
    Timeout(&'static str),
}
