//! The pod network: the CNI component in its adapter, kept informed of the cluster's nodes; or CNI plugins
//! that the operator installs.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::cni::{CniOptions, open_cni};
use k3s_cni::{ForeignNetwork, ForeignOptions};
use k3s_config::ClusterSettings;
use k3s_podnetwork::{FollowNodes, Grants, Ipam, NetHost, follow_nodes};
use k3s_runtime::PodNetwork;
use k3s_sys::net::Net;
use k3s_sys::nft::Nftables;
use serde_json::{Map, Value};

use crate::clients;
use crate::node::context::NodeContext;
use crate::plugins::Component;
use crate::plugins::replace::Running;

/// Where host-local leases are kept, as the CNI plugin of that name keeps them.
const LEASES: &str = "/var/lib/cni/networks";
/// The folder of `subnet.env`.
const FLANNEL_RUN: &str = "/run/flannel";

/// Folders of CNI plugins besides the data directory's: upstream's, and those of distributions.
const PLUGIN_DIRS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/// Where runtimes of Kubernetes read configurations.
const CONF_DIR: &str = "/etc/cni/net.d";
/// Where libcni keeps results.
const RESULTS: &str = "/var/lib/cni/results";

/// `--flannel-backend=none`: whatever the configuration in K3s' folder, or else the machine's, says.
pub(crate) fn foreign(context: &NodeContext) -> Arc<dyn PodNetwork> {
    let data_dir = &context.settings.data_dir;
    let options = ForeignOptions {
        conf_dirs: vec![data_dir.join("agent/etc/cni/net.d"), CONF_DIR.into()],
        bin_dirs: [data_dir.join("data/cni")]
            .into_iter()
            .chain(PLUGIN_DIRS.map(PathBuf::from))
            .collect(),
        cache_dir: RESULTS.into(),
    };
    Arc::new(ForeignNetwork::start(options, &context.ambient.tasks))
}

/// Loads the component, and keeps it informed of the cluster's nodes.
pub(crate) fn start(context: &NodeContext) -> Result<Arc<dyn PodNetwork>> {
    let (cluster, ambient) = (&context.cluster, &context.ambient);
    let component = &context.batteries.cni;
    let mut grants = Grants::for_networks(vec![cluster.cluster_cidr]);
    grants.node_address = context.settings.node_ips.iter().find_map(v4);
    let options = CniOptions {
        config: component.config(known_config(cluster, component)),
        ipam: Ipam::new(LEASES),
        net: Arc::new(NetHost::new(
            Net::current()?,
            Arc::new(Nftables::open()?),
            grants,
        )),
        environment: ambient.environment(),
    };
    let host = component.host(&context.plugin_host);
    let network = tokio::task::block_in_place(|| open_cni(&host, component.source(), options))
        .context("start the pod network")?;
    let network = Arc::new(network);
    let known = {
        let cluster = cluster.clone();
        move |new: &Component| known_config(&cluster, new)
    };
    let running = Running::new(network.battery().clone(), &context.plugin_host, known);
    context.swaps.add(component, running);
    // It annotates nodes, which a node's own identity may not; K3s' flannel speaks as this user too.
    let client = clients::for_component(&context.clients, "system:k3s-controller");
    let follow = FollowNodes {
        network: network.clone(),
        informers: ambient.informers(&client),
        client,
        node_name: context.local.name.clone(),
        run_dir: PathBuf::from(FLANNEL_RUN),
        random: ambient.random.clone(),
    };
    follow_nodes(follow, &ambient.tasks);
    Ok(network)
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

/// Configuration that every pod network gets: the cluster's range. Only the bundled one knows backends.
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
