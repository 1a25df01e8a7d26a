//! The ingress battery: the component in its adapter, and the data plane on ports 80 and 443.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::ingress::{IngressOptions, open_ingress};
use k3s_config::PackagedComponent;
use k3s_ingress::{ConnectionLimits, EntryPoint, Ingress, IngressConfig};
use serde_json::Map;

use crate::node::context::NodeContext;
use crate::plugins::replace::Running;

/// For `--disable`; its name is also that of the service account that it acts as.
pub(crate) const COMPONENT: PackagedComponent = PackagedComponent::Traefik;

/// Starts the battery.
pub(crate) async fn start(context: &NodeContext) -> Result<()> {
    if context.is_disabled(COMPONENT) {
        return Ok(());
    }
    let (component, ambient) = (&context.batteries.ingress, &context.ambient);
    let options = IngressOptions {
        config: component.config(Map::new()),
        environment: ambient.environment(),
    };
    let host = component.host(&context.plugin_host);
    let compiler = tokio::task::block_in_place(|| open_ingress(&host, component.source(), options))
        .context("start the ingress controller")?;
    let compiler = Arc::new(compiler);
    let battery = compiler.battery().clone();
    let running = Running::new(battery, &context.plugin_host, |_| Map::new());
    context.swaps.add(component, running);
    let config = IngressConfig {
        entry_points: EntryPoint::standard(),
        limits: ConnectionLimits::standard(),
        may_dial: k3s_ingress::may_dial,
        addresses: published_addresses(context),
        node_name: context.local.name.clone(),
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
    };
    let client = context.clients.for_controller(COMPONENT.name());
    Ingress::start(config, compiler, client, &ambient.metrics, &ambient.tasks)
        .await
        .context("start the ingress data plane")?;
    ambient.timeline.ready("ingress");
    Ok(())
}

/// As a LoadBalancer Service shows them: external addresses where a node has some.
fn published_addresses(context: &NodeContext) -> Vec<IpAddr> {
    let external = &context.settings.external_ips;
    if external.is_empty() {
        context.local.addresses.clone()
    } else {
        external.clone()
    }
}
