//! HTTP/2 without TLS to servers that say they speak it: one connection per server carries all streams.

use std::collections::HashMap;
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use k3s_base::error::chain;
use k3s_lifecycle::Tasks;
use parking_lot::Mutex;

use super::body::Outgoing;
use super::client::{SendError, Tracked};
use super::dial::Dialer;

/// As the listeners' own windows: streams are not slowed by the defaults of 64 KiB.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Connections by authority. Bounded by the number of endpoints; closed ones go at the next use.
#[derive(Debug)]
pub(crate) struct H2cPool {
    connections: Mutex<HashMap<String, SendRequest<Outgoing>>>,
    dialer: Dialer,
    tasks: Tasks,
}

impl H2cPool {
    pub(crate) fn new(dialer: Dialer, tasks: Tasks) -> Self {
        Self {
            connections: Mutex::default(),
            dialer,
            tasks,
        }
    }

    pub(crate) async fn send(
        &self,
        authority: &Authority,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut sender = self.connection(authority).await?;
        sender.ready().await.map_err(SendError::not_sent)?;
        sender
            .send_request(request)
            .await
            .map_err(SendError::of_hyper)
    }

    async fn connection(&self, authority: &Authority) -> Result<SendRequest<Outgoing>, SendError> {
        {
            let mut connections = self.connections.lock();
            connections.retain(|_, sender| !sender.is_closed());
            if let Some(sender) = connections.get(authority.as_str()) {
                return Ok(sender.clone());
            }
        }
        let dialled = self.dialer.dial(authority, 80).await;
        let stream = dialled.map_err(SendError::not_sent)?;
        let (sender, connection) = http2::Builder::new(Tracked(self.tasks.clone()))
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(KEEP_ALIVE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::not_sent)?;
        self.tasks
            .spawn_until_stopped("h2c connection", async move {
                if let Err(error) = connection.await {
                    let error = chain(&error);
                    tracing::debug!(error, "an upstream connection ended");
                }
            });
        self.connections
            .lock()
            .insert(authority.to_string(), sender.clone());
        Ok(sender)
    }
}
