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
use k3s_serve::{Activity, Places};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection;
use crate::config::{ConnectionLimits, EntryPoint};
use crate::driver::class::CLASS;
use crate::proxy::Proxy;

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
    pub(crate) limits: ConnectionLimits,
    pub(crate) proxy: Arc<Proxy>,
    /// For handshakes without settings of their own.
    pub(crate) tls: Arc<ServerConfig>,
    /// Connections run here, to be drained at stop.
    pub(crate) connections: Tasks,
    pub(crate) events: EventRecorder,
    pub(crate) random: Random,
    /// There are routes.
    pub(crate) ready: watch::Receiver<bool>,
    /// Where it listens, once it does.
    pub(crate) bound: watch::Sender<Option<SocketAddr>>,
}

impl Port {
    /// Binds and accepts forever.
    pub(crate) async fn run(mut self) {
        let listener = self.bind().await;
        self.bound.send_replace(listener.local_addr().ok());
        let routes = self.ready.wait_for(|ready| *ready);
        if tokio::time::timeout(self.limits.first_routes, routes)
            .await
            .is_err()
        {
            let entry_point = self.entry_point.name;
            tracing::warn!(
                entry_point,
                "there are no routes yet; requests are answered with 404"
            );
        }
        let places = Places::new(self.limits.capacity);
        let open = self
            .proxy
            .metrics
            .open(self.entry_point.name, self.entry_point.tls);
        let port = Arc::new(self);
        loop {
            let (stream, client, place) = match places.accept(&listener, |_| true).await {
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
                let _place = place;
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
    let activity = Activity::accepted();
    stream.set_nodelay(true)?;
    connection::serve(port, stream, client, activity).await
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
