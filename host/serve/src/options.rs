//! The settings of a listener, with the reasons for their values.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

/// How a listener behaves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// TLS settings; `None` serves plain HTTP/1.1 (loopback metrics, tests).
    pub tls: Option<Arc<ServerConfig>>,
    /// Open connections; above this the listener stops accepting until one closes, so the kernel's
    /// backlog holds new peers back.
    pub max_connections: usize,
    /// A peer that has not finished its TLS handshake by then is dropped.
    pub handshake_timeout: Duration,
    /// After the stop signal connections may finish their requests for this long.
    pub drain_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            tls: None,
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            // A process is allowed 10 s from SIGTERM to its end, and other components stop after
            // the listener.
            drain_timeout: Duration::from_secs(5),
            // One client holds one watch per kind it caches, on one connection.
            max_concurrent_streams: 1_000,
        }
    }
}

/// HTTP/2 receive window per stream: as the Go API server.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// HTTP/2 receive window per connection: as the Go API server, room for a hundred full streams.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 25 * 1024 * 1024;
/// What a stream may hold back for a slow reader before its handler has to wait.
pub(crate) const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Idle time after which a ping asks whether the peer is still there.
pub(crate) const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// A peer that has not answered the ping by then is disconnected.
pub(crate) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// HTTP/1.1: request line and headers must be here by then.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(32);
