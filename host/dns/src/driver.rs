//! Start-up: sockets, feed, publisher.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ipnet::IpNet;
use k3s_base::{Clock, Random};
use k3s_client::{Client, Informers};
use k3s_lifecycle::Tasks;
use k3s_observe::Metrics;
use parking_lot::RwLock;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Notify, watch};

use crate::answer::Domain;
use crate::error::DnsError;
use crate::metrics::DnsMetrics;
use crate::publish::{Publisher, SERVICE_KEY};
use crate::server::{Access, Server, serve_tcp, serve_udp};
use crate::upstream::Upstream;
use crate::zone::{Feed, Zone};

/// Workers on the one UDP socket: answering is a few microseconds, so two keep two cores busy.
const UDP_WORKERS: usize = 2;

/// The port on the node's address, unless configured otherwise: free beside the kubelet's (10248 to
/// 10256) and the runtime's, and not one that a resolver of the host may hold.
pub const DEFAULT_PORT: u16 = 10_053;

/// What the server needs.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    /// Where to listen: the node's address and a port that is free there. Port 0 takes any.
    pub listen: SocketAddr,
    /// The Node that it runs on.
    pub node_name: String,
    /// `--cluster-domain`.
    pub domain: String,
    /// `--cluster-dns`: the address of the `kube-dns` Service.
    pub service_ip: Ipv4Addr,
    /// `--cluster-cidr`: where pods ask from.
    pub pod_networks: Vec<IpNet>,
    /// The file that names the host's name servers.
    pub resolv_conf: PathBuf,
    /// Time.
    pub clock: Clock,
    /// For ids and jitter.
    pub random: Random,
}

/// The running server.
#[derive(Clone, Debug)]
pub struct Dns {
    address: SocketAddr,
    ready: watch::Receiver<bool>,
}

impl Dns {
    /// Starts the server. It answers at once, the cluster's names with SERVFAIL until it knows them.
    pub async fn start(
        config: DnsConfig,
        client: Client,
        informers: &Informers,
        metrics: &Metrics,
        tasks: &Tasks,
    ) -> Result<Self, DnsError> {
        let tasks = tasks.child("dns");
        let (udp, tcp) = bind(config.listen).await?;
        let address = tcp
            .local_addr()
            .map_err(|source| cannot_listen(config.listen, source))?;
        let zone = Arc::new(RwLock::new(Zone::default()));
        let server = Arc::new(server(&config, address, zone.clone(), metrics)?);
        spawn_listeners(&tasks, &server, udp, tcp);
        let service_deleted = Arc::new(Notify::new());
        let feed = Feed::new(informers, zone, SERVICE_KEY, service_deleted.clone());
        let publisher = Publisher {
            client,
            random: config.random,
            node: config.node_name,
            service_ip: config.service_ip,
            address,
            service_deleted,
        };
        let (announce, ready) = watch::channel(false);
        let filling = fill(feed, publisher, server.clone(), announce, tasks.clone());
        tasks.spawn_until_stopped("dns feed", filling);
        tasks.spawn_until_stopped("dns loop probe", async move {
            server.upstream.probe_for_loop().await;
        });
        Ok(Self { address, ready })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the cluster's names are known and the `kube-dns` Service is published.
    pub async fn ready(&self) {
        // An error means that the task ended, in which case the caller is being stopped too.
        let _ = self.ready.clone().wait_for(|ready| *ready).await;
    }
}

/// The server over a zone that is still empty.
fn server(
    config: &DnsConfig,
    address: SocketAddr,
    zone: Arc<RwLock<Zone>>,
    metrics: &Metrics,
) -> Result<Server, DnsError> {
    let serial = u32::try_from(config.clock.now().as_second()).unwrap_or(u32::MAX);
    let domain = Domain::new(&config.domain, config.service_ip, serial)?;
    // Name servers of the host that are this server itself would make a loop.
    let own = vec![address.ip(), IpAddr::V4(config.service_ip)];
    let upstream = Upstream::new(
        config.resolv_conf.clone(),
        own,
        address.port(),
        config.clock.clone(),
        config.random.clone(),
    );
    Ok(Server {
        upstream,
        access: Access::new(config.pod_networks.clone(), address.ip()),
        metrics: DnsMetrics::register(metrics),
        synced: AtomicBool::new(false),
        turn: AtomicUsize::new(0),
        zone,
        domain,
    })
}

fn spawn_listeners(tasks: &Tasks, server: &Arc<Server>, udp: UdpSocket, tcp: TcpListener) {
    let udp = Arc::new(udp);
    for _ in 0..UDP_WORKERS {
        let worker = serve_udp(server.clone(), udp.clone(), tasks.clone());
        tasks.spawn_until_stopped("dns udp", worker);
    }
    let worker = serve_tcp(server.clone(), tcp, tasks.clone());
    tasks.spawn_until_stopped("dns tcp", worker);
}

/// Fills the zone, publishes the Service, and then follows changes.
async fn fill(
    mut feed: Feed,
    publisher: Publisher,
    server: Arc<Server>,
    announce: watch::Sender<bool>,
    tasks: Tasks,
) {
    feed.sync().await;
    server.synced.store(true, Ordering::Release);
    // Published only now, so that no client is sent here before there are answers.
    let publish = publisher.run(move || {
        announce.send_replace(true);
    });
    tasks.spawn_until_stopped("dns publisher", publish);
    feed.run().await;
}

/// Both sockets on the same port.
async fn bind(address: SocketAddr) -> Result<(UdpSocket, TcpListener), DnsError> {
    let tcp = TcpListener::bind(address)
        .await
        .map_err(|e| cannot_listen(address, e))?;
    let same = tcp.local_addr().map_err(|e| cannot_listen(address, e))?;
    let udp = UdpSocket::bind(same)
        .await
        .map_err(|e| cannot_listen(same, e))?;
    Ok((udp, tcp))
}

fn cannot_listen(address: SocketAddr, source: io::Error) -> DnsError {
    DnsError::Listen { address, source }
}
