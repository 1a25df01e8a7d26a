//! The ingress data plane: listens on ports 80 and 443, and sends requests straight to the endpoints of
//! Services, as a plugin decides.
//!
//! A [`Compiler`] (a component in its adapter) turns objects into routes; this crate serves them. Objects
//! reach the plugin through [`driver`], masked to the fields it asked for; Secrets never do. Routes become
//! a table ([`table`]) that is swapped as a whole: requests under way keep theirs, so no change of routes,
//! certificates or endpoints costs a request. Connections ([`listen`]) speak TLS ([`tls`]) and HTTP/1.1 or
//! HTTP/2; a request ([`proxy`]) passes the layers of its route ([`middleware`]) and goes to a server of
//! its target ([`upstream`]). Bodies stream in both directions with back-pressure.
//!
//! Broken objects cost only themselves, and their authors are told by an Event. While no plugin answers,
//! the last table is served.
//!
//! Tasks owned: one per entry point, the reload loop, one feed per kind, one per Secret in use, endpoints,
//! status, events; one per connection and tunnel, in groups that are drained at stop.
//! Bounds: connections per entry point, bytes of a request's head, endpoints tried per request.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

pub mod compiler;
mod config;
mod driver;
mod listen;
mod metrics;
mod middleware;
pub mod model;
mod proxy;
mod table;
mod tls;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k3s_client::{Client, EventRecorder, Informers, resources};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use tokio::sync::watch;

pub use compiler::{Batch, Compiled, Compiler, CompilerError};
pub use config::{EntryPoint, IngressConfig};

use driver::secrets::Secrets;
use driver::{Feed, Reload, Teller, class, crds};
use listen::port::Port;
use metrics::IngressMetrics;
use proxy::Proxy;
use table::build::Builder;
use tls::certs::{self, Certificates};
use tls::options;
use upstream::pool::{Pools, service_of};

/// After the stop signal requests may be finished for this long: the server has 10 s in all.
const DRAIN: Duration = Duration::from_millis(1500);
/// Idle connections to servers need no more.
const CLOSE: Duration = Duration::from_millis(100);

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// The plugin did not say what it decides on.
    #[error("the ingress plugin: {0}")]
    Compiler(#[from] CompilerError),
    /// A kind that no plugin may see.
    #[error("the ingress plugin asks for {0}, which it may not have")]
    Forbidden(String),
    /// The default certificate could not be made.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The running data plane.
#[derive(Debug)]
pub struct Ingress {
    bound: Vec<(&'static str, watch::Receiver<Option<SocketAddr>>)>,
    ready: watch::Receiver<bool>,
}

impl Ingress {
    /// Starts it. Ports are asked for at once and served from the first route table on.
    pub async fn start(
        config: IngressConfig,
        compiler: Arc<dyn Compiler>,
        client: Client,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, IngressError> {
        let interests = compiler.interests().await?;
        if let Some(secret) = interests
            .iter()
            .find(|kind| kind.group.is_empty() && kind.plural == "secrets")
        {
            return Err(IngressError::Forbidden(secret.kind.clone()));
        }
        let tasks = tasks.child("ingress");
        // Groups of their own: connections outlive the stop signal for a moment, and those to servers
        // outlive them.
        let (connections, upstream) = (
            Tasks::root("ingress connections"),
            Tasks::root("ingress upstream"),
        );
        let (clock, random) = (config.clock.clone(), config.random.clone());
        let informers = Informers::new(client.clone(), clock.clone(), random.clone(), &tasks);
        let events = EventRecorder::new(
            client.clone(),
            "ingress-controller",
            &config.node_name,
            clock.clone(),
            &tasks,
        );
        let default = certs::self_signed(&clock, &random).map_err(IngressError::Tls)?;
        let certificates = Arc::new(ArcSwap::from_pointee(Certificates::new(
            [].into_iter(),
            default.clone(),
        )));
        let tls = options::default_config(certificates.clone()).map_err(IngressError::Tls)?;
        let proxy = Arc::new(Proxy {
            table: ArcSwap::default(),
            metrics: IngressMetrics::register(metrics),
            clock: clock.clone(),
            tunnels: connections.clone(),
            node_name: config.node_name.clone(),
        });

        let teller = Teller::new(
            client,
            events.clone(),
            random.clone(),
            config.addresses.clone(),
        );
        let feed = Feed::start(interests, &informers, &teller, &tasks);
        teller.attach(&feed);
        tasks.spawn_until_stopped("ingress status", teller.clone().run());
        let slices = informers.all(&resources::ENDPOINT_SLICES);
        let pools = Pools::new(slices.clone());
        follow_endpoints(&slices, &pools, &tasks);
        let secrets = Secrets::new(informers.clone(), &tasks);
        let (announce, ready) = watch::channel(false);
        let builder = Builder::new(
            pools,
            secrets.clone(),
            certificates.clone(),
            (clock, random.clone()),
            upstream.clone(),
        );
        let reload = Reload {
            compiler,
            feed,
            informers,
            secrets,
            builder,
            proxy: proxy.clone(),
            certificates,
            default_certificate: default,
            entry_points: config.entry_points.clone(),
            teller,
            ready: announce,
        };
        tasks.spawn_until_stopped("ingress reload", async move {
            slices.has_synced().await;
            reload.run().await;
        });
        let mut bound = Vec::new();
        for entry_point in config.entry_points {
            let (announce, receiver) = watch::channel(None);
            bound.push((entry_point.name, receiver));
            let port = Port {
                entry_point,
                proxy: proxy.clone(),
                tls: tls.clone(),
                connections: connections.clone(),
                events: events.clone(),
                random: random.clone(),
                ready: ready.clone(),
                bound: announce,
            };
            tasks.spawn_until_stopped("ingress port", port.run());
        }
        let stopping = tasks.stopping();
        tasks.spawn("ingress drain", async move {
            stopping.cancelled().await;
            connections.stop(DRAIN).await;
            upstream.stop(CLOSE).await;
        });
        Ok(Self { bound, ready })
    }

    /// Waits until the first route table is served.
    pub async fn ready(&self) {
        // An error means that the task ended; whoever waits is being stopped too.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }

    /// Waits until an entry point listens, and says where.
    pub async fn address(&self, entry_point: &str) -> Option<SocketAddr> {
        let (_, bound) = self.bound.iter().find(|(name, _)| *name == entry_point)?;
        bound
            .clone()
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|address| *address)
    }
}

fn follow_endpoints(slices: &k3s_client::Informer, pools: &Pools, tasks: &Tasks) {
    let (mut events, pools) = (slices.subscribe(), pools.clone());
    tasks.spawn_until_stopped("ingress endpoints", async move {
        loop {
            let event = events.next().await;
            service_of(event.object())
                .iter()
                .for_each(|service| pools.refresh(service));
        }
    });
}

/// What the cluster has with an ingress controller: the class `traefik`, and Traefik's kinds.
#[must_use]
pub fn objects() -> Vec<serde_json::Value> {
    std::iter::once(class::object())
        .chain(crds::all())
        .collect()
}

/// Takes back what the data plane wrote to Ingresses, in a cluster that is to have none any more. To be
/// called while its class is still there.
///
/// # Errors
/// When the API refuses.
pub async fn release(client: &Client) -> Result<(), k3s_client::Error> {
    class::release(client).await
}
