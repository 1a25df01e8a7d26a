//! Why a streaming session ended before its time. It is only logged: the client is gone, or does not
//! follow the protocol.

use k3s_serve::ServeError;
use tokio_tungstenite::tungstenite;

use crate::error::Error;

/// The end of a streaming session other than by either side's will.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The path of the URL and the token in it are of different kinds.
    #[error("an exec connection came to a port-forward URL, or the reverse")]
    Kind,
    /// The client did not complete the handshake.
    #[error("upgrade the connection")]
    Upgrade(#[from] hyper::Error),
    /// The same, of a WebSocket.
    #[error(transparent)]
    Handshake(#[from] ServeError),
    #[error("the client left before its streams were open")]
    NoStreams,
    #[error("timed out waiting for the client to create its streams")]
    StreamsTimeout,
    #[error("the client opened no error stream")]
    NoErrorStream,
    #[error("the client left")]
    Left,
    #[error("the WebSocket broke")]
    WebSocket(#[from] tungstenite::Error),
    #[error("a message of the client is not base64")]
    Base64(#[from] base64::DecodeError),
    #[error("malformed exit of the process")]
    Exit(#[source] serde_json::Error),
    #[error(transparent)]
    Shim(#[from] Error),
}
