//! The pod network: the CNI component in its adapter, and what it is told of the cluster's nodes; or
//! CNI plugins that the operator installs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::cni::{CniNetwork, CniOptions, open_cni};
use k3s_client::{Client, Informers};
use k3s_cni::{ForeignNetwork, ForeignOptions};
use k3s_config::ClusterSettings;
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Policy;
use k3s_podnetwork::{FollowNodes, Grants, NetHost, follow_nodes};
use k3s_runtime::PodNetwork;
use k3s_sys::net::Net;
use k3s_sys::nft::Nftables;
use serde_json::{Map, Value};

use crate::plugins::Component;
use crate::server::Shared;
use crate::server::control_plane::ControlPlane;
use crate::server::identity::NodeIdentity;

/// Where host-local leases are kept, as the CNI plugin of that name keeps them.
const LEASES: &str = "/var/lib/cni/networks";
/// Where `subnet.env` goes.
const FLANNEL_RUN: &str = "/run/flannel";

/// Folders of CNI plugins besides the data directory's: upstream's, and those of distributions.
const PLUGIN_DIRS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/// Where runtimes of Kubernetes look for configurations.
const CONF_DIR: &str = "/etc/cni/net.d";
/// Where libcni keeps results.
const RESULTS: &str = "/var/lib/cni/results";

/// `--flannel-backend=none`: whatever the configuration in K3s' folder, or else the machine's, says.
pub(crate) fn foreign(shared: &Shared, tasks: &Tasks) -> Arc<dyn PodNetwork> {
    let data_dir = &shared.settings.data_dir;
    let options = ForeignOptions {
        conf_dirs: vec![data_dir.join("agent/etc/cni/net.d"), CONF_DIR.into()],
        bin_dirs: [data_dir.join("data/cni")]
            .into_iter()
            .chain(PLUGIN_DIRS.map(PathBuf::from))
            .collect(),
        cache_dir: RESULTS.into(),
    };
    Arc::new(ForeignNetwork::start(options, tasks))
}

/// Loads the component and starts to tell it of nodes. `client` follows and annotates
/// nodes, which a node's own identity may not; K3s' flannel speaks as `system:k3s-controller` too.
pub(crate) fn start(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
    client: &Client,
) -> Result<Arc<dyn PodNetwork>> {
    let cluster = &shared.settings.cluster;
    let known = known_config(cluster, &plane.cni);
    let mut grants = Grants::for_networks(vec![cluster.cluster_cidr]);
    grants.node_address = shared
        .settings
        .node
        .node_ips
        .iter()
        .find_map(|ip| match ip {
            std::net::IpAddr::V4(ip) => Some(*ip),
            std::net::IpAddr::V6(_) => None,
        });
    let options = CniOptions {
        config: plane.cni.config(known),
        leases: PathBuf::from(LEASES),
        net: NetHost::new(Net::current()?, Arc::new(Nftables::open()?), grants),
        policy: Policy::default(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    let host = plane.cni.host(&plane.plugin_host);
    let network = tokio::task::block_in_place(|| open_cni(&host, plane.cni.source(), options))
        .context("start the pod network")?;
    let network = Arc::new(network);
    make_replaceable(shared, plane, &network);
    let follow = FollowNodes {
        network: network.clone(),
        client: client.clone(),
        informers: Informers::new(
            client.clone(),
            shared.clock.clone(),
            shared.random.clone(),
            tasks,
        ),
        node_name: node.name.clone(),
        run_dir: PathBuf::from(FLANNEL_RUN),
        random: shared.random.clone(),
    };
    follow_nodes(follow, tasks);
    Ok(network)
}

/// What the server knows and every pod network is told: the cluster's range. The backend is the bundled
/// one's business.
fn known_config(cluster: &ClusterSettings, component: &Component) -> Map<String, Value> {
    let mut known = Map::from_iter([(
        "network".to_owned(),
        cluster.cluster_cidr.to_string().into(),
    )]);
    if component.is_bundled() {
        known.insert("backend".to_owned(), cluster.flannel_backend.name().into());
    }
    known
}

/// Lets a reload put another component in this one's place.
fn make_replaceable(shared: &Shared, plane: &ControlPlane, network: &Arc<CniNetwork>) {
    let (network, host) = (network.clone(), plane.plugin_host.clone());
    let cluster = shared.settings.cluster.clone();
    shared.swaps.add(&plane.cni, move |new| {
        let (network, host, cluster) = (network.clone(), new.host(&host), cluster.clone());
        async move {
            let config = new.config(known_config(&cluster, &new));
            Ok(network.swap(&host, new.source(), config).await?)
        }
    });
}
