//! The settings of a listener, with the reasons for their values.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::activity::QuietLimits;
use crate::places::{Capacity, Listener};

/// How a listener behaves.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// TLS settings; `None` serves plain HTTP/1.1 (loopback metrics, tests).
    pub tls: Option<Arc<ServerConfig>>,
    /// Open connections.
    pub capacity: Capacity,
    /// A peer that has not finished its TLS handshake by then is dropped.
    pub handshake_timeout: Duration,
    /// A peer that is longer without a request is disconnected.
    pub quiet: QuietLimits,
    /// After the stop signal connections may finish their requests for this long.
    pub drain_timeout: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
}

impl ServeOptions {
    /// TLS on one of the listeners that share the process's file descriptors.
    #[must_use]
    pub fn https(listener: Listener, tls: Arc<ServerConfig>) -> Self {
        Self {
            tls: Some(tls),
            capacity: listener.own_capacity(),
            ..Self::default()
        }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            tls: None,
            capacity: Capacity {
                total: 1000,
                per_client: 1000,
            },
            handshake_timeout: Duration::from_secs(10),
            quiet: QuietLimits {
                // The API server's clients have 32 s for the head alone.
                first: Duration::from_secs(42),
                // As the Go API server's `IdleTimeout`.
                idle: Duration::from_secs(90),
            },
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
