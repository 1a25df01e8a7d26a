//! Binding an entry point and accepting on it. A port that somebody else has is asked for again; the
//! server does not fail for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{BackoffPolicy, Random};
use k3s_client::{EventRecorder, EventType, ObjectReference};
use k3s_lifecycle::Tasks;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::connection;
use crate::config::EntryPoint;
use crate::driver::class::CLASS;
use crate::proxy::Proxy;

/// Connections open at a time on one entry point; above this nothing is accepted until one closes, so
/// the kernel's backlog holds new clients back.
const MAX_CONNECTIONS: usize = 20_000;
/// Out of file descriptors and the like: trying again at once would only spin.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
const BIND_RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_secs(1),
    factor: 2.0,
    cap: Duration::from_secs(60),
    jitter: 0.2,
};

/// What one entry point works with.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) entry_point: EntryPoint,
    pub(crate) proxy: Arc<Proxy>,
    /// For handshakes without settings of their own.
    pub(crate) tls: Arc<ServerConfig>,
    /// Connections run here, to be drained at stop.
    pub(crate) connections: Tasks,
    pub(crate) events: EventRecorder,
    pub(crate) random: Random,
    /// Nothing is accepted before there are routes.
    pub(crate) ready: watch::Receiver<bool>,
    /// Where it listens, once it does.
    pub(crate) bound: watch::Sender<Option<SocketAddr>>,
}

impl Port {
    /// Binds and accepts forever.
    pub(crate) async fn run(mut self) {
        let listener = self.bind().await;
        self.bound.send_replace(listener.local_addr().ok());
        // The sender lives in the reload task; if it is gone, the server stops.
        if self.ready.wait_for(|ready| *ready).await.is_err() {
            return;
        }
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let open = self
            .proxy
            .metrics
            .open(self.entry_point.name, self.entry_point.tls);
        let port = Arc::new(self);
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else {
                return;
            };
            let (stream, client) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(error = chain(&error), "cannot accept");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (open, port) = (open.clone(), port.clone());
            let tasks = port.connections.clone();
            tasks.spawn("ingress client", async move {
                let _room = permit;
                open.inc();
                let ended = serve(&port, stream, client).await;
                open.dec();
                if let Err(error) = ended {
                    tracing::debug!(%client, error = chain(&error), "a connection ended");
                }
            });
        }
    }

    async fn bind(&self) -> TcpListener {
        let mut backoff = BIND_RETRY.start();
        loop {
            let error = match TcpListener::bind(self.entry_point.listen).await {
                Ok(listener) => return listener,
                Err(error) => error,
            };
            let delay = backoff.next_delay(&self.random);
            let EntryPoint { name, listen, .. } = self.entry_point;
            let message = format!(
                "entry point {name} cannot listen on {listen}: {error}; nothing is served there"
            );
            tracing::warn!(?delay, "{message}");
            self.events.event(
                class_reference(),
                EventType::Warning,
                "PortUnavailable",
                message,
            );
            tokio::time::sleep(delay).await;
        }
    }
}

async fn serve(port: &Port, stream: TcpStream, client: SocketAddr) -> io::Result<()> {
    stream.set_nodelay(true)?;
    connection::serve(port, stream, client).await
}

/// Events about ports go to the class, which everybody can see.
fn class_reference() -> ObjectReference {
    ObjectReference {
        kind: "IngressClass".to_owned(),
        api_version: "networking.k8s.io/v1".to_owned(),
        name: CLASS.to_owned(),
        ..ObjectReference::default()
    }
}
