//! Puts the kubelet's parts together: each gets only what it uses.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use k3s_client::{Client, Informer, Informers, Scope, resources};
use k3s_cri::v1::VersionResponse;
use k3s_lifecycle::Tasks;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::api::ApiReader;
use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::container::context::ContainerContext;
use crate::cri::Cri;
use crate::error::KubeletError;
use crate::events::Events;
use crate::eviction::manager::EvictionManager;
use crate::eviction::usage::UsageReader;
use crate::image::gc;
use crate::image::manager::ImageManager;
use crate::image::records::PullRecords;
use crate::logs::rotate::LogRotator;
use crate::node::info::{self, Machine};
use crate::node::lease::LeaseRenewer;
use crate::node::reporter::NodeReporter;
use crate::node::state::NodeState;
use crate::pod::burstable::BurstableShares;
use crate::pod::housekeeping::Housekeeper;
use crate::pod::lifecycle_events::LifecycleEvents;
use crate::pod::manager::PodManager;
use crate::pod::perform::Performer;
use crate::pod::static_pods::MirrorPods;
use crate::pod::table::PodTable;
use crate::pod::workers::PodWorkers;
use crate::probe::prober::ProbeContext;
use crate::server::{self, Server};
use crate::volume::manager::VolumeManager;

/// A running kubelet. It stops with the tasks it was started under.
pub struct Kubelet {
    address: SocketAddr,
}

impl Kubelet {
    /// Starts the kubelet: returns once the runtime has answered and the port is open. The node is
    /// registered by a task; its Ready condition says when it is up.
    ///
    /// `client` carries the identity `system:node:<name>` in group `system:nodes`. `supervisor` may
    /// set the role label, which NodeRestriction denies to the node itself.
    ///
    /// # Errors
    /// See [`KubeletError`].
    pub async fn start(
        config: KubeletConfig,
        client: Client,
        supervisor: Option<Client>,
        cri_endpoint: &str,
        tasks: &Tasks,
    ) -> Result<Self, KubeletError> {
        let tasks = tasks.child("kubelet");
        prepare_directories(&config)?;
        let tls = server::tls(&config)?;
        let (listener, address) = listen(config.listen).await?;
        let healthz = config.healthz;
        let parts = Parts::new(config, client, cri_endpoint, tasks).await?;
        parts.start_node(supervisor, address.port());
        parts.start_pods();
        parts.start_upkeep();
        if let Some(healthz) = healthz {
            server::start_healthz(parts.node.clone(), healthz, &parts.tasks).await;
        }
        parts.server().start(listener, tls);
        Ok(Self { address })
    }

    /// Where HTTPS is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), KubeletError> {
    let failed = |source| KubeletError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// What the tasks are made from; it ends when they are started.
struct Parts {
    config: Arc<KubeletConfig>,
    client: Client,
    api: Arc<ApiReader>,
    /// Pods bound to this node, mirrors among them.
    objects: Informer,
    cri: Cri,
    runtime: VersionResponse,
    events: Events,
    node: Arc<NodeState>,
    cgroups: Arc<Cgroups>,
    images: Arc<ImageManager>,
    pods: Arc<PodTable>,
    tasks: Tasks,
}

impl Parts {
    async fn new(
        config: KubeletConfig,
        client: Client,
        cri_endpoint: &str,
        tasks: Tasks,
    ) -> Result<Self, KubeletError> {
        let cri = Cri::connect(cri_endpoint).await?;
        let runtime = cri.version().await;
        let runtime = runtime.map_err(|error| KubeletError::RuntimeCall(error.into()))?;
        let ips = node_ips(&config)?;
        let cgroups = Cgroups::prepare(&config).map_err(KubeletError::Cgroup)?;
        let clock = config.clock.clone();
        let random = config.random.clone();
        let informers = Informers::new(client.clone(), clock.clone(), random, &tasks);
        let own_pods = Scope::fields(format!("spec.nodeName={}", config.node_name));
        let objects = informers.of(&resources::PODS, own_pods);
        let api = Arc::new(ApiReader::new(client.clone(), informers));
        let name = &config.node_name;
        let events = Events::new(client.clone(), name, clock.clone(), &tasks);
        let records = PullRecords::open(&config.root_dir, clock.clone());
        let records = records.map_err(|source| KubeletError::Directory {
            path: config.root_dir.clone(),
            source,
        })?;
        let images = ImageManager::new(
            cri.clone(),
            api.clone(),
            events.clone(),
            clock,
            config.parallel_pulls,
            records,
        );
        let machine = Machine::read();
        let node = NodeState::new(machine, ips, config.root_dir.clone());
        Ok(Self {
            config: Arc::new(config),
            client,
            api,
            objects,
            cri,
            runtime,
            events,
            node: Arc::new(node),
            cgroups: Arc::new(cgroups),
            images: Arc::new(images),
            pods: Arc::default(),
            tasks,
        })
    }

    fn start_node(&self, supervisor: Option<Client>, port: u16) {
        let VersionResponse {
            runtime_name,
            runtime_version,
            ..
        } = &self.runtime;
        let reporter = NodeReporter {
            config: self.config.clone(),
            client: self.client.clone(),
            supervisor,
            cri: self.cri.clone(),
            events: self.events.clone(),
            node: self.node.clone(),
            runtime_version: format!("{runtime_name}://{runtime_version}"),
            port,
        };
        reporter.start(&self.tasks);
        let lease = LeaseRenewer {
            config: self.config.clone(),
            client: self.client.clone(),
            node: self.node.clone(),
        };
        let renewal = lease.run(self.tasks.clone());
        self.tasks.spawn_until_stopped("node lease", renewal);
    }

    fn start_pods(&self) {
        let resync = Arc::new(Notify::new());
        let workers = Arc::new(self.workers(resync.clone()));
        let mirrors = MirrorPods {
            client: self.client.clone(),
            node: self.node.clone(),
            pods: self.pods.clone(),
            objects: self.objects.clone(),
        };
        let housekeeper = Housekeeper {
            config: self.config.clone(),
            cri: self.cri.clone(),
            cgroups: self.cgroups.clone(),
            workers: workers.clone(),
        };
        let manager = PodManager {
            config: self.config.clone(),
            client: self.client.clone(),
            events: self.events.clone(),
            node: self.node.clone(),
            mirrors,
            housekeeper,
            workers,
            objects: self.objects.clone(),
            resync,
            tasks: self.tasks.clone(),
        };
        manager.start();
        let events = LifecycleEvents {
            cri: self.cri.clone(),
            pods: self.pods.clone(),
            tasks: self.tasks.clone(),
        };
        events.start();
    }

    fn workers(&self, resync: Arc<Notify>) -> PodWorkers {
        let burstable = BurstableShares {
            pods: self.pods.clone(),
            cgroups: self.cgroups.clone(),
        };
        PodWorkers {
            table: self.pods.clone(),
            performer: Arc::new(self.performer()),
            burstable: Arc::new(burstable),
            probes: Arc::new(self.probes()),
            client: self.client.clone(),
            objects: self.objects.clone(),
            runtime_name: self.runtime_name(),
            resync,
            tasks: self.tasks.clone(),
        }
    }

    fn performer(&self) -> Performer {
        let config = self.config.clone();
        let volumes = VolumeManager::new(config, self.api.clone(), self.client.clone());
        let containers = ContainerContext {
            config: self.config.clone(),
            api: self.api.clone(),
            node: self.node.clone(),
        };
        Performer {
            config: self.config.clone(),
            cri: self.cri.clone(),
            events: self.events.clone(),
            cgroups: self.cgroups.clone(),
            images: self.images.clone(),
            volumes: Arc::new(volumes),
            containers,
        }
    }

    fn probes(&self) -> ProbeContext {
        ProbeContext {
            cri: self.cri.clone(),
            events: self.events.clone(),
            node: self.node.clone(),
            clock: self.config.clock.clone(),
            tasks: self.tasks.clone(),
        }
    }

    fn runtime_name(&self) -> Arc<str> {
        self.runtime.runtime_name.as_str().into()
    }

    /// Eviction, log rotation and image collection.
    fn start_upkeep(&self) {
        let usage = UsageReader {
            config: self.config.clone(),
            cri: self.cri.clone(),
            cgroups: self.cgroups.clone(),
            pods: self.pods.clone(),
        };
        let eviction = EvictionManager {
            config: self.config.clone(),
            cri: self.cri.clone(),
            events: self.events.clone(),
            node: self.node.clone(),
            usage,
            images: self.images.clone(),
            pods: self.pods.clone(),
        };
        eviction.start(&self.tasks);
        let rotator = LogRotator {
            config: self.config.clone(),
            cri: self.cri.clone(),
            pods: self.pods.clone(),
        };
        let rotation = rotator.run(self.tasks.clone());
        self.tasks.spawn("log rotation", rotation);
        let images = self.images.clone();
        let collection = gc::run(self.config.clone(), images, self.tasks.clone());
        self.tasks.spawn("image collection", collection);
    }

    fn server(&self) -> Server {
        Server::new(
            self.config.clone(),
            self.client.clone(),
            self.cri.clone(),
            self.node.clone(),
            self.pods.clone(),
            self.runtime_name(),
            self.tasks.clone(),
        )
    }
}

/// The configured addresses, or the one the default route leads out from.
fn node_ips(config: &KubeletConfig) -> Result<Vec<IpAddr>, KubeletError> {
    if !config.node_ips.is_empty() {
        return Ok(config.node_ips.clone());
    }
    let address = info::default_route_address().ok_or(KubeletError::NoAddress)?;
    Ok(vec![address])
}

/// The directories the kubelet lives in. Pods' directories are not for others to read.
fn prepare_directories(config: &KubeletConfig) -> Result<(), KubeletError> {
    let prepare = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::create_dir_all(path)?;
        std::fs::set_permissions(path, permissions)
    };
    let root = config.root_dir.clone();
    let pods = root.join("pods");
    let logs = config.pod_log_dir.clone();
    for (path, mode) in [(root, 0o750), (pods, 0o750), (logs, 0o755)] {
        prepare(&path, mode).map_err(|source| KubeletError::Directory { path, source })?;
    }
    Ok(())
}
