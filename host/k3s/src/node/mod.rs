//! The node in the server's process: container runtime, kubelet, service proxy, cluster DNS.

mod external_runtime;
pub(crate) mod ingress;
pub(crate) mod kernel;
mod network;
pub(crate) mod storage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use k3s_base::Secret;
use k3s_client::{Client, Informers};
use k3s_config::{FlannelBackend, KubeletArguments, PackagedComponent, node_annotations};
use k3s_deploy::Manifests;
use k3s_dns::{Dns, DnsConfig};
use k3s_kubelet::{Kubelet, KubeletConfig};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use k3s_netproxy::{Proxy, ProxyConfig};
use k3s_pki::ServerIdentity;
use k3s_runtime::{PodNetwork, Runtime, RuntimeConfig};
use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::nft::Nftables;
use tracing::warn;

use crate::server::Shared;
use crate::server::control_plane::{ControlPlane, component_client};
use crate::server::identity::NodeIdentity;
use crate::version::VERSION;

/// Cluster DNS listens here on the node's address; pods reach it through the `kube-dns` Service.
pub(crate) const DNS_PORT: u16 = 10_053;
/// Cluster DNS for `--disable`, as in K3s.
pub(crate) const DNS: PackagedComponent = PackagedComponent::CoreDns;
/// The kubelet's own health, for whoever is on the machine.
const HEALTHZ_PORT: u16 = 10_248;
const MASTERS: &str = "system:masters";

/// The parts that end when they are dropped.
pub(crate) struct Node {
    _runtime: Option<Runtime>,
}

/// Where the node keeps its state, for the server and for `killall`.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) runtime_root: PathBuf,
    pub(crate) runtime_state: PathBuf,
    pub(crate) kubelet: PathBuf,
}

impl Paths {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            runtime_root: data_dir.join("agent/containerd"),
            runtime_state: "/run/k3s/containerd".into(),
            kubelet: "/var/lib/kubelet".into(),
        }
    }
}

pub(crate) async fn start(
    shared: &Shared,
    tasks: &Tasks,
    identity: &ServerIdentity,
    node: &NodeIdentity,
    plane: &ControlPlane,
    manifests: Manifests,
) -> Result<Node> {
    let settings = &shared.settings;
    let node_client = plane.clients.for_user(UserInfo::new(
        format!("system:node:{}", node.name),
        ["system:nodes", "system:authenticated"],
    ));
    let (endpoint, runtime) = start_containers(shared, tasks, node, plane).await?;
    shared.timeline.ready("runtime");
    let supervisor = plane.clients.for_user(UserInfo::new(
        "system:k3s-supervisor",
        [MASTERS, "system:authenticated"],
    ));
    let config = kubelet_config(shared, identity, node)?;
    Kubelet::start(
        config,
        node_client,
        Some(supervisor.clone()),
        &endpoint,
        tasks,
    )
    .await
    .context("start the kubelet")?;
    shared.timeline.ready("kubelet");
    if !settings.cluster.disable_kube_proxy {
        start_proxy(shared, tasks, node, plane)?;
        shared.timeline.ready("service proxy");
    }
    storage::start(shared, tasks, node, plane, manifests)?;
    shared.timeline.ready("storage");
    if shared.is_disabled(DNS) {
        tasks.spawn_until_stopped("dns removal", async move {
            if let Err(error) = k3s_dns::withdraw(&supervisor).await {
                warn!(
                    error = error.chain(),
                    "cannot remove the endpoints of cluster DNS"
                );
            }
        });
    } else {
        start_dns(
            shared,
            tasks,
            node,
            &plane.clients.for_controller(DNS.name()),
            supervisor,
        )
        .await?;
        shared.timeline.ready("dns");
    }
    ingress::start(shared, tasks, node, plane).await?;
    Ok(Node { _runtime: runtime })
}

/// Pod network and container runtime: ours or others'. Answers with the runtime's CRI endpoint.
async fn start_containers(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
) -> Result<(String, Option<Runtime>)> {
    let settings = &shared.settings;
    let client = component_client(&plane.clients, "system:k3s-controller");
    let own_network = || network::start(shared, tasks, node, plane, &client);
    match (
        &settings.node.container_runtime_endpoint,
        settings.cluster.flannel_backend,
    ) {
        // The other runtime calls the other network by itself.
        (Some(endpoint), FlannelBackend::None) => Ok((endpoint.clone(), None)),
        (Some(endpoint), _) => {
            external_runtime::connect(own_network()?, tasks)?;
            Ok((endpoint.clone(), None))
        }
        (None, backend) => {
            let network = if backend == FlannelBackend::None {
                network::foreign(shared, tasks)
            } else {
                own_network()?
            };
            shared.timeline.ready("cni");
            let runtime = start_runtime(shared, tasks, network).await?;
            Ok((runtime.endpoint(), Some(runtime)))
        }
    }
}

async fn start_runtime(
    shared: &Shared,
    tasks: &Tasks,
    network: Arc<dyn PodNetwork>,
) -> Result<Runtime> {
    let settings = &shared.settings;
    let standard = RuntimeConfig::standard(
        &settings.data_dir,
        network,
        shared.clock.clone(),
        shared.random.clone(),
        tasks.child("runtime"),
    );
    let config = RuntimeConfig {
        registries: settings.node.registries.clone(),
        default_registry_endpoint: !settings.node.disable_default_registry_endpoint,
        ..standard
    };
    Runtime::start(config)
        .await
        .context("start the container runtime")
}

fn kubelet_config(
    shared: &Shared,
    identity: &ServerIdentity,
    node: &NodeIdentity,
) -> Result<KubeletConfig> {
    let settings = &shared.settings;
    let mut config = KubeletConfig {
        pod_manifests: Some(settings.data_dir.join("agent/pod-manifests")),
        serving_cert_pem: identity.kubelet_serving.cert_pem.clone().into_bytes(),
        serving_key_pem: Secret::new(
            identity
                .kubelet_serving
                .key_pem
                .reveal()
                .clone()
                .into_bytes(),
        ),
        client_ca_pem: identity.client_ca.cert_pem().as_bytes().to_vec(),
        healthz: Some(SocketAddr::from(([127, 0, 0, 1], HEALTHZ_PORT))),
        node_ips: node.addresses.clone(),
        external_ips: settings.node.external_ips.clone(),
        labels: settings.node.labels.iter().cloned().collect(),
        taints: settings.node.taints.clone(),
        control_plane: true,
        annotations: node_annotations("server", &settings.node.args, std::env::vars()),
        cluster_dns: vec![settings.cluster.cluster_dns.into()],
        cluster_domain: settings.cluster.cluster_domain.clone(),
        resolv_conf: settings.node.resolv_conf.clone(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
        ..KubeletConfig::new(&node.name, VERSION)
    };
    apply_arguments(&mut config, &settings.node.kubelet)?;
    Ok(config)
}

/// What `--kubelet-arg` says, over the kubelet's defaults.
fn apply_arguments(config: &mut KubeletConfig, args: &KubeletArguments) -> Result<()> {
    let args = args.clone();
    config.max_pods = args.max_pods.unwrap_or(config.max_pods);
    config.log_max_bytes = args.log_max_bytes.unwrap_or(config.log_max_bytes);
    config.log_max_files = args.log_max_files.unwrap_or(config.log_max_files);
    if let Some(root) = args.cgroup_root {
        config.cgroup_root = root;
    }
    if let Some(dir) = args.root_dir {
        config.root_dir = dir;
    }
    if let Some(limit) = args.pod_max_pids {
        config.pod_pids_limit = (limit > 0).then_some(limit);
    }
    if let Some(percent) = args.image_gc_high_percent {
        config.image_gc_high_percent = percent;
    }
    if let Some(percent) = args.image_gc_low_percent {
        config.image_gc_low_percent = percent;
    }
    if let Some(period) = args.eviction_transition_period {
        config.eviction.set_transition(period);
    }
    if let Some(thresholds) = args.eviction_hard {
        config
            .eviction
            .set_hard(&thresholds)
            .with_context(|| format!("--kubelet-arg eviction-hard={thresholds}"))?;
    }
    if let Some(amounts) = args.eviction_minimum_reclaim {
        config
            .eviction
            .set_minimum_reclaim(&amounts)
            .with_context(|| format!("--kubelet-arg eviction-minimum-reclaim={amounts}"))?;
    }
    Ok(())
}

fn start_proxy(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
) -> Result<()> {
    let client = component_client(&plane.clients, "system:kube-proxy");
    let informers = Informers::new(client, shared.clock.clone(), shared.random.clone(), tasks);
    let config = ProxyConfig {
        node_name: node.name.clone(),
        pod_networks: vec![shared.settings.cluster.cluster_cidr],
        nft: Arc::new(Nftables::open()?),
        conntrack: Conntrack::open().ok(),
        forwards: plane.forwards.clone(),
        random: shared.random.clone(),
    };
    Proxy::start(config, &informers, &shared.metrics, tasks).context("start the service proxy")?;
    Ok(())
}

async fn start_dns(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    reader: &Client,
    writer: Client,
) -> Result<()> {
    let settings = &shared.settings;
    let informers = Informers::new(
        reader.clone(),
        shared.clock.clone(),
        shared.random.clone(),
        tasks,
    );
    let config = DnsConfig {
        listen: SocketAddr::new(node.address(), DNS_PORT),
        node_name: node.name.clone(),
        domain: settings.cluster.cluster_domain.clone(),
        service_ip: settings.cluster.cluster_dns,
        pod_networks: vec![IpNet::V4(settings.cluster.cluster_cidr)],
        resolv_conf: settings.node.resolv_conf.clone(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    Dns::start(config, writer, &informers, &shared.metrics, tasks)
        .await
        .context("start cluster DNS")?;
    Ok(())
}
