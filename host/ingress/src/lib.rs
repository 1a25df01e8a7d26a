//! The ingress data plane: listens on ports 80 and 443, and sends requests straight to the endpoints of
//! Services, as a plugin decides.
//!
//! A [`Compiler`] (a component in its adapter) turns objects into routes; this crate serves them. Objects
//! reach the plugin through `driver`, masked to the fields it asked for; Secrets never do. Routes become
//! a table (`table`) that is swapped as a whole: requests under way keep theirs, so no change of routes,
//! certificates or endpoints costs a request. Connections (`listen`) speak TLS (`tls`) and HTTP/1.1 or
//! HTTP/2; a request (`proxy`) passes the layers of its route (`middleware`) and goes to a server of
//! its target (`upstream`). Bodies stream in both directions with back-pressure.
//!
//! A broken object disables only its own routes, and an Event tells its author. While no plugin answers,
//! the data plane serves the last table.
//!
//! Tasks owned: one per entry point, the reload loop, one feed per kind, one per Secret in use, endpoints,
//! status, events; one per connection and tunnel, in groups that are drained at stop.
//! Bounds: connections per entry point and client, their time without a request, bytes of a request's head, endpoints tried per request.
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
mod error;
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
use model::Interest;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

pub use compiler::{Batch, Compiled, Compiler, CompilerError};
pub use config::{ConnectionLimits, EntryPoint, IngressConfig, may_dial};
pub use error::IngressError;

use driver::secrets::Secrets;
use driver::{Feed, Kinds, Reload, StatusReporter, class, crds};
use listen::port::Port;
use metrics::IngressMetrics;
use proxy::Proxy;
use table::build::{Ambient, Builder};
use tls::certs::{self, Certificates};
use tls::options;
use upstream::client::DIAL_TIMEOUT;
use upstream::dial::Dialer;
use upstream::pool::{Pools, service_of};

/// After the stop signal requests may be finished for this long: the server has 10 s in all.
const DRAIN: Duration = Duration::from_millis(1500);
/// Idle connections to servers need no more.
const CLOSE: Duration = Duration::from_millis(100);

/// An entry point's name, and its address from the moment on that it listens.
type Bound = (&'static str, watch::Receiver<Option<SocketAddr>>);

/// The running data plane.
#[derive(Debug)]
pub struct Ingress {
    bound: Vec<Bound>,
    ready: watch::Receiver<bool>,
}

/// What the parts of the data plane share while they are started.
struct Parts {
    config: IngressConfig,
    client: Client,
    informers: Informers,
    events: EventRecorder,
    proxy: Arc<Proxy>,
    certificates: Arc<ArcSwap<Certificates>>,
    default_certificate: Arc<CertifiedKey>,
    /// Groups of their own: connections outlive the stop signal for a moment, and those to servers
    /// outlive them.
    connections: Tasks,
    upstream: Tasks,
    tasks: Tasks,
}

impl Ingress {
    /// Starts it. Ports are bound at once and served from the first route table on.
    ///
    /// # Errors
    /// When the plugin does not say what it decides on, asks for what it may not have, or the default
    /// certificate cannot be made.
    pub async fn start(
        config: IngressConfig,
        compiler: Arc<dyn Compiler>,
        client: Client,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, IngressError> {
        let interests = allowed(compiler.interests().await?)?;
        let parts = Parts::new(config, client, metrics, tasks)?;
        let (announce, ready) = watch::channel(false);
        parts.start_reload(compiler, interests, announce);
        let bound = parts.start_ports(&ready)?;
        parts.start_drain();
        Ok(Self { bound, ready })
    }

    /// Waits until the first route table is served.
    pub async fn ready(&self) {
        // An error means that the task ended; the caller is being stopped too.
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

/// Secrets are read by the host only.
fn allowed(interests: Vec<Interest>) -> Result<Vec<Interest>, IngressError> {
    let secret = interests
        .iter()
        .find(|kind| kind.group.is_empty() && kind.plural == "secrets");
    match secret {
        Some(secret) => Err(IngressError::Forbidden(secret.kind.clone())),
        None => Ok(interests),
    }
}

impl Parts {
    fn new(
        config: IngressConfig,
        client: Client,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, IngressError> {
        let tasks = tasks.child("ingress");
        let connections = Tasks::root("ingress connections");
        let (clock, random) = (config.clock.clone(), config.random.clone());
        let default_certificate =
            certs::self_signed(&clock, &random).map_err(IngressError::DefaultCertificate)?;
        let certificates = Certificates::new([].into_iter(), default_certificate.clone());
        let proxy = Proxy {
            table: ArcSwap::default(),
            metrics: IngressMetrics::register(metrics),
            clock: clock.clone(),
            tunnels: connections.clone(),
            node_name: config.node_name.clone(),
        };
        let events = EventRecorder::new(
            client.clone(),
            "ingress-controller",
            &config.node_name,
            clock.clone(),
            &tasks,
        );
        Ok(Self {
            informers: Informers::new(client.clone(), clock, random, &tasks),
            client,
            events,
            proxy: Arc::new(proxy),
            certificates: Arc::new(ArcSwap::from_pointee(certificates)),
            default_certificate,
            connections,
            upstream: Tasks::root("ingress upstream"),
            tasks,
            config,
        })
    }

    /// The feed of the plugin and the loop that turns its decisions into tables.
    fn start_reload(
        &self,
        compiler: Arc<dyn Compiler>,
        interests: Vec<Interest>,
        ready: watch::Sender<bool>,
    ) {
        let kinds = Kinds::new(interests);
        let reporter = self.start_reporter(&kinds);
        let feed = Feed::start(kinds, reporter.clone(), &self.informers, &self.tasks);
        let slices = self.informers.all(&resources::ENDPOINT_SLICES);
        let pools = Pools::new(slices.clone());
        follow_endpoints(&slices, &pools, &self.tasks);
        let secrets = Secrets::new(self.informers.clone(), &self.tasks);
        let builder = Builder::new(
            pools,
            secrets.clone(),
            self.certificates.clone(),
            Ambient {
                clock: self.config.clock.clone(),
                random: self.config.random.clone(),
                dialer: Dialer::new(self.config.may_dial, DIAL_TIMEOUT),
            },
            self.upstream.clone(),
        );
        let reload = Reload {
            compiler,
            feed,
            informers: self.informers.clone(),
            secrets,
            builder,
            proxy: self.proxy.clone(),
            certificates: self.certificates.clone(),
            default_certificate: self.default_certificate.clone(),
            entry_points: self.config.entry_points.clone(),
            reporter,
            ready,
        };
        self.tasks
            .spawn_until_stopped("ingress reload", async move {
                slices.has_synced().await;
                reload.run().await;
            });
    }

    fn start_reporter(&self, kinds: &Kinds) -> StatusReporter {
        let reporter = StatusReporter::new(
            self.client.clone(),
            self.events.clone(),
            self.config.random.clone(),
            self.config.addresses.clone(),
            kinds.clone(),
        );
        self.tasks
            .spawn_until_stopped("ingress status", reporter.clone().run());
        reporter
    }

    /// One task per entry point; gives where each is bound.
    fn start_ports(&self, ready: &watch::Receiver<bool>) -> Result<Vec<Bound>, IngressError> {
        let tls = options::default_config(self.certificates.clone()).map_err(IngressError::Tls)?;
        let mut all = Vec::new();
        for entry_point in self.config.entry_points.clone() {
            let (announce, bound) = watch::channel(None);
            all.push((entry_point.name, bound));
            let port = Port {
                entry_point,
                limits: self.config.limits,
                proxy: self.proxy.clone(),
                tls: tls.clone(),
                connections: self.connections.clone(),
                events: self.events.clone(),
                random: self.config.random.clone(),
                ready: ready.clone(),
                bound: announce,
            };
            self.tasks.spawn_until_stopped("ingress port", port.run());
        }
        Ok(all)
    }

    /// Ends connections when everything else has stopped.
    fn start_drain(self) {
        let stopping = self.tasks.stopping();
        let (connections, upstream) = (self.connections, self.upstream);
        self.tasks.spawn("ingress drain", async move {
            stopping.cancelled().await;
            connections.stop(DRAIN).await;
            upstream.stop(CLOSE).await;
        });
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
