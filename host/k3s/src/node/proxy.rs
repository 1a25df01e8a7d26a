//! The service proxy of the node.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_client::EventRecorder;
use k3s_netproxy::{Proxy, ProxyConfig};
use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::nft::Nftables;

use crate::clients;
use crate::node::context::NodeContext;

/// Starts the proxy.
pub(crate) fn start(context: &NodeContext) -> Result<()> {
    let ambient = &context.ambient;
    let client = clients::for_component(&context.clients, "system:kube-proxy");
    let events = EventRecorder::new(
        client.clone(),
        "kube-proxy",
        &context.local.name,
        ambient.clock.clone(),
        &ambient.tasks,
    );
    let config = ProxyConfig {
        node_name: context.local.name.clone(),
        pod_networks: vec![context.cluster.cluster_cidr],
        service_networks: vec![context.cluster.service_cidr],
        events,
        nft: Arc::new(Nftables::open()?),
        // Without it, connections outlive their endpoints, and everything else works.
        conntrack: Conntrack::open().ok(),
        forwards: context.service_forwards.forwards(),
        random: ambient.random.clone(),
    };
    let informers = ambient.informers(&client);
    Proxy::start(config, &informers, &ambient.metrics, &ambient.tasks)
        .context("start the service proxy")?;
    Ok(())
}
