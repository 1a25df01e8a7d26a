//! Cluster DNS on the node.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use ipnet::IpNet;
use k3s_base::error::chain;
use k3s_client::Client;
use k3s_config::PackagedComponent;
use k3s_dns::{Dns, DnsConfig};
use tracing::warn;

use crate::clients;
use crate::node::context::NodeContext;

/// It listens here on the node's address; pods reach it through the `kube-dns` Service.
pub(crate) const PORT: u16 = 10_053;
/// For `--disable`; its name is also that of the service account that it reads as.
pub(crate) const COMPONENT: PackagedComponent = PackagedComponent::CoreDns;

/// Starts cluster DNS, or with `--disable coredns` takes the node out of the Service's endpoints.
pub(crate) async fn start(context: &NodeContext) -> Result<()> {
    let supervisor = clients::for_supervisor(&context.clients);
    if context.is_disabled(COMPONENT) {
        withdraw(context, supervisor);
        return Ok(());
    }
    let (cluster, ambient) = (&context.cluster, &context.ambient);
    let config = DnsConfig {
        listen: SocketAddr::new(context.local.address(), PORT),
        node_name: context.local.name.clone(),
        domain: cluster.cluster_domain.clone(),
        service_ip: cluster.cluster_dns,
        pod_networks: vec![IpNet::V4(cluster.cluster_cidr)],
        resolv_conf: context.settings.resolv_conf.clone(),
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
    };
    let reader = context.clients.for_controller(COMPONENT.name());
    let informers = ambient.informers(&reader);
    Dns::start(
        config,
        supervisor,
        &informers,
        &ambient.metrics,
        &ambient.tasks,
    )
    .await
    .context("start cluster DNS")?;
    ambient.timeline.ready("dns");
    Ok(())
}

fn withdraw(context: &NodeContext, supervisor: Client) {
    let removal = async move {
        if let Err(error) = k3s_dns::withdraw(&supervisor).await {
            let error = chain(&error);
            warn!(error, "cannot remove the endpoints of cluster DNS");
        }
    };
    context
        .ambient
        .tasks
        .spawn_until_stopped("dns removal", removal);
}
