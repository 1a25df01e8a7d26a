//! The task that follows Services and EndpointSlices and commits what they need.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use k3s_base::error::chain;
use k3s_base::{Backoff, BackoffPolicy, Random};
use k3s_client::{EventRecorder, Informer, InformerEvent, Informers, Obj, Subscription, resources};
use k3s_lifecycle::Tasks;
use k3s_objects::endpoint_slice::SERVICE_NAME_LABEL;
use k3s_observe::Metrics;
use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::net::{Address, Net, NetError, sysctl, tcp_listeners};
use k3s_sys::nft::{Batch, Element, Nft, NftError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::flows::Stale;
use crate::forwards::Forwards;
use crate::health::{Health, HealthCheck};
use crate::metrics::ProxyMetrics;
use crate::model::{Endpoint, Transport};
use crate::plan::{Endpoints, Plan, plan};
use crate::read;
use crate::report::{Losses, Reports};
use crate::reserved::Reserved;
use crate::state::{ServiceKey, State, UdpTargets};
use crate::tables::{AFFINITY, Layout, NODEPORT_AFFINITY};

/// Transactions are at least this far apart: one change alone goes out at once, a burst in a few.
const SPACING: Duration = Duration::from_millis(20);
/// How often to check whether the whole packet filter was flushed.
const VERIFY: Duration = Duration::from_secs(60);
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 0.2,
};
const BY_SERVICE: &str = "service";
/// Whose endpoints are parts of the cluster.
const CLUSTER_SERVICES: [&str; 2] = ["default/kubernetes", "kube-system/kube-dns"];

/// What a proxy needs.
pub struct ProxyConfig {
    /// The Node that it runs on.
    pub node_name: String,
    /// Where pods live (`--cluster-cidr`); callers from elsewhere are masqueraded.
    pub pod_networks: Vec<Ipv4Net>,
    /// Where cluster addresses are allocated (`--service-cidr`).
    pub service_networks: Vec<Ipv4Net>,
    /// The node's packet filter.
    pub nft: Arc<dyn Nft>,
    /// The node's flow table; None leaves stale UDP flows alone.
    pub conntrack: Option<Conntrack>,
    /// What else this node answers for load balancers.
    pub forwards: Forwards,
    /// Where authors of Services are told what is not served.
    pub events: EventRecorder,
    /// For the jitter of retries.
    pub random: Random,
}

/// A running proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    ready: watch::Receiver<bool>,
}

impl Proxy {
    /// Starts the proxy. `informers` carry its identity (`system:kube-proxy`).
    pub fn start(
        config: ProxyConfig,
        informers: &Informers,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, NftError> {
        let layout = Layout::new(config.pod_networks.clone())?;
        let (announce, ready) = watch::channel(false);
        let slices = informers.all(&resources::ENDPOINT_SLICES);
        slices.add_index(BY_SERVICE, service_of_slice);
        let networks = [config.pod_networks, config.service_networks].concat();
        let driver = Driver {
            services: informers.all(&resources::SERVICES),
            nodes: informers.all(&resources::NODES),
            slices,
            cluster: Reserved {
                networks,
                ..Reserved::default()
            },
            external: BTreeSet::new(),
            reports: Reports::new(config.events),
            layout,
            conntrack: config.conntrack.map(Arc::new),
            retry: RETRY.start(),
            nft: config.nft,
            health: Health::new(tasks),
            forwards: config.forwards,
            node: config.node_name,
            random: config.random,
            metrics: ProxyMetrics::register(metrics),
            state: State::default(),
            dirty: BTreeSet::new(),
            rewrite: true,
        };
        tasks.spawn_until_stopped("netproxy", driver.run(announce));
        Ok(Self { ready })
    }

    /// Waits until every Service that exists is in the packet filter.
    pub async fn ready(&self) {
        // An error means that the task ended; whoever waits is being stopped too.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }
}

struct Driver {
    services: Informer,
    slices: Informer,
    nodes: Informer,
    /// Addresses that belong to the cluster, as of the last change of nodes and endpoints.
    cluster: Reserved,
    /// Services that want external addresses.
    external: BTreeSet<ServiceKey>,
    reports: Reports,
    layout: Layout,
    nft: Arc<dyn Nft>,
    conntrack: Option<Arc<Conntrack>>,
    health: Health,
    forwards: Forwards,
    node: String,
    random: Random,
    retry: Backoff,
    metrics: ProxyMetrics,
    state: State,
    /// Services that have to be planned again.
    dirty: BTreeSet<ServiceKey>,
    /// The kernel's table is not what the state says.
    rewrite: bool,
}

impl Driver {
    async fn run(mut self, announce: watch::Sender<bool>) {
        if let Err(error) = allow_localhost() {
            tracing::warn!(
                error = chain(&error),
                "node ports will not answer on 127.0.0.1"
            );
        }
        let mut services = self.services.subscribe();
        let mut slices = self.slices.subscribe();
        let mut nodes = self.nodes.subscribe();
        self.services.has_synced().await;
        self.slices.has_synced().await;
        self.nodes.has_synced().await;
        self.cluster_changed();
        loop {
            self.drain(&mut services, &mut slices, &mut nodes);
            let wait = self.flush().await;
            self.health.set_proxy_healthy(!self.rewrite);
            if !self.rewrite {
                announce.send_replace(true);
            }
            tokio::time::sleep(SPACING).await;
            let until = Instant::now() + wait;
            tokio::select! {
                event = services.next() => self.service_changed(&event),
                event = slices.next() => self.slice_changed(&event),
                _ = nodes.next() => self.cluster_changed(),
                () = self.forwards.changed() => {}
                // Time to retry or to verify.
                () = tokio::time::sleep_until(until) => self.verify().await,
            }
        }
    }

    fn drain(
        &mut self,
        services: &mut Subscription,
        slices: &mut Subscription,
        nodes: &mut Subscription,
    ) {
        let mut any = false;
        while nodes.try_next().is_some() {
            any = true;
        }
        if any {
            self.cluster_changed();
        }
        while let Some(event) = services.try_next() {
            self.service_changed(&event);
        }
        while let Some(event) = slices.try_next() {
            self.slice_changed(&event);
        }
        self.dirty.extend(self.forwards.take_changed());
    }

    fn service_changed(&mut self, event: &InformerEvent) {
        self.dirty.insert(event.object().key().clone());
    }

    fn slice_changed(&mut self, event: &InformerEvent) {
        let mut services = service_of_slice(event.object());
        if let InformerEvent::Updated { old, .. } = event {
            services.extend(service_of_slice(old));
        }
        let is_cluster = |service: &String| CLUSTER_SERVICES.contains(&service.as_str());
        if services.iter().any(is_cluster) {
            self.cluster_changed();
        }
        self.dirty
            .extend(services.into_iter().map(ServiceKey::from));
    }

    /// Reads where the cluster itself is. Services with external addresses are planned again when that changed.
    fn cluster_changed(&mut self) {
        let nodes = self.nodes.list();
        let mut endpoints = BTreeSet::new();
        for service in CLUSTER_SERVICES {
            for slice in self.slices.by_index(BY_SERVICE, service) {
                let mut found = Vec::new();
                read::endpoints(&slice, &self.node, &mut found);
                let target = |((_, transport), it): ((String, Transport), Endpoint)| {
                    (it.address, transport, it.port)
                };
                endpoints.extend(found.into_iter().map(target));
            }
        }
        let now = Reserved {
            nodes: nodes
                .iter()
                .flat_map(|node| read::node_addresses(node))
                .collect(),
            endpoints,
            ..self.cluster.clone()
        };
        if now != self.cluster {
            self.cluster = now;
            self.dirty.extend(self.external.iter().cloned());
        }
    }

    /// What no external address may be, for planning these Services; what the node listens on is read only if one of
    /// them has external addresses.
    fn reserved_for(&mut self, services: &BTreeSet<ServiceKey>) -> Reserved {
        let mut any = false;
        for key in services {
            let object = self.services.get(key);
            let service = object.and_then(|object| read::service(&object));
            if service.is_some_and(|service| !service.external_ips.is_empty()) {
                self.external.insert(key.clone());
                any = true;
            } else {
                self.external.remove(key);
            }
        }
        if any {
            self.reserved()
        } else {
            self.cluster.clone()
        }
    }

    /// What no external address may be, with what this node's processes listen on now.
    fn reserved(&self) -> Reserved {
        let own = Net::current().and_then(|net| net.addresses());
        let own = own.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "cannot read the node's addresses");
            Vec::new()
        });
        let v4 = |address: &Address| match address.net.addr() {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let listeners = tcp_listeners().unwrap_or_else(|error| {
            tracing::warn!(
                error = chain(&error),
                "cannot read what the node listens on"
            );
            Vec::new()
        });
        Reserved {
            own: own.iter().filter_map(v4).collect(),
            listeners: listeners.into_iter().collect(),
            ..self.cluster.clone()
        }
    }

    /// Commits what is due. Answers how long to sleep if nothing happens.
    async fn flush(&mut self) -> Duration {
        let (batch, udp) = self.collect();
        if self.rewrite {
            return self.write_all().await;
        }
        self.metrics
            .frontends
            .set(i64::try_from(self.state.len()).unwrap_or(i64::MAX));
        if batch.is_empty() {
            return VERIFY;
        }
        match self.commit(batch).await {
            Ok(()) => {
                self.forget(udp).await;
                VERIFY
            }
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the packet filter refused a change; writing the whole table"
                );
                self.rewrite = true;
                Duration::ZERO
            }
        }
    }

    /// Plans every Service that changed.
    fn collect(&mut self) -> (Batch, UdpTargets) {
        let mut dirty = std::mem::take(&mut self.dirty);
        let reserved = self.reserved_for(&dirty);
        let mut change = self.state.change();
        while let Some(key) = dirty.pop_first() {
            let object = self.services.get(&key);
            let mut service = object.as_ref().and_then(|object| read::service(object));
            if let Some(service) = &mut service {
                service.also_on(&self.forwards.of(&key));
            }
            let endpoints = service
                .as_ref()
                .map(|_| endpoints(&self.slices, &self.node, &key))
                .unwrap_or_default();
            self.health.set(
                &key,
                service
                    .as_ref()
                    .and_then(|s| HealthCheck::of(s, &endpoints)),
            );
            let created = object
                .as_ref()
                .map_or("", |object| object.meta().creation_timestamp.as_str());
            let planned = service.map(|s| plan(&s, &endpoints, &reserved));
            let Plan { frontends, refused } = planned.unwrap_or_default();
            let taken = change.set(&key, created, frontends);
            self.reports
                .tell(&key, object.as_deref(), &Losses { refused, taken });
            dirty.extend(change.unblocked());
        }
        change.finish(&self.layout)
    }

    /// One transaction that replaces the table, whatever is in it: connections stay, since they live
    /// in the flow table, and so do the clients that affinity remembers.
    async fn write_all(&mut self) -> Duration {
        self.metrics
            .frontends
            .set(i64::try_from(self.state.len()).unwrap_or(i64::MAX));
        let remembered = self.remembered().await;
        let result = match self
            .commit(self.state.rewrite(&self.layout, remembered))
            .await
        {
            Ok(()) => Ok(()),
            // What is remembered names endpoints only, so it cannot be at fault; but a table that
            // cannot be written with it may be without.
            Err(_) => {
                self.commit(self.state.rewrite(&self.layout, Vec::new()))
                    .await
            }
        };
        match result {
            Ok(()) => {
                self.rewrite = false;
                self.retry.reset();
                self.metrics.rewrites.inc();
                self.forget(self.state.udp_targets()).await;
                VERIFY
            }
            Err(error) => {
                let delay = self.retry.next_delay(&self.random);
                tracing::error!(
                    error = chain(&error),
                    ?delay,
                    "services cannot be written to the packet filter"
                );
                delay
            }
        }
    }

    async fn remembered(&self) -> Vec<(&'static str, Vec<Element>)> {
        let (nft, table) = (self.nft.clone(), self.layout.table().clone());
        let read = move || {
            let sets = [AFFINITY, NODEPORT_AFFINITY].into_iter();
            // There may be no table yet.
            sets.filter_map(|set| Some((set, nft.elements(&table, set).ok()?)))
                .collect()
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_default()
    }

    async fn commit(&self, batch: Batch) -> Result<(), NftError> {
        let nft = self.nft.clone();
        let result = tokio::task::spawn_blocking(move || nft.commit(&batch)).await;
        let result = result.unwrap_or(Err(NftError::Interrupted));
        if result.is_ok() {
            self.metrics.transactions.inc()
        } else {
            self.metrics.failures.inc()
        };
        result
    }

    async fn forget(&self, udp: UdpTargets) {
        let stale = Stale::new(udp);
        let Some(conntrack) = self.conntrack.clone().filter(|_| !stale.is_empty()) else {
            return;
        };
        let work = move || conntrack.forget(|flow| stale.is_stale(flow));
        match tokio::task::spawn_blocking(work).await {
            Ok(Ok(count)) => drop(self.metrics.flows_forgotten.inc_by(count as u64)),
            Ok(Err(error)) => tracing::warn!(
                error = chain(&error),
                "stale UDP flows stay until they time out"
            ),
            // Cut off by the stop.
            Err(_) => {}
        }
    }

    /// The packet filter may have been flushed, or this is the retry of a rewrite.
    async fn verify(&mut self) {
        self.health.retry();
        // Processes listen and stop to without telling.
        self.dirty.extend(self.external.iter().cloned());
        let (nft, table) = (self.nft.clone(), self.layout.table().clone());
        let check = move || {
            nft.tables()
                .map(|tables| tables.iter().any(|(id, _)| *id == table))
        };
        if let Ok(Ok(false)) = tokio::task::spawn_blocking(check).await
            && !self.rewrite
        {
            tracing::warn!("the services' table is gone from the packet filter; writing it again");
            self.rewrite = true;
        }
    }
}

fn endpoints(slices: &Informer, node: &str, service: &str) -> Endpoints {
    let mut found = Vec::new();
    for slice in slices.by_index(BY_SERVICE, service) {
        read::endpoints(&slice, node, &mut found);
    }
    let mut endpoints = BTreeMap::new();
    for (port, endpoint) in found {
        endpoints
            .entry(port)
            .or_insert_with(Vec::new)
            .push(endpoint);
    }
    endpoints
}

fn service_of_slice(slice: &Obj) -> Vec<String> {
    let name = slice.label(SERVICE_NAME_LABEL);
    name.map(|name| format!("{}/{name}", slice.namespace()))
        .into_iter()
        .collect()
}

/// A packet from 127.0.0.1 may be sent to a pod, so that node ports answer there.
fn allow_localhost() -> Result<(), NetError> {
    sysctl::set("net.ipv4.conf.all.route_localnet", "1").map(drop)
}
