//! The ingress battery: the component in its adapter, and the data plane on ports 80 and 443.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::ingress::{IngressOptions, WasmCompiler, open_ingress};
use k3s_base::{Clock, Random};
use k3s_config::PackagedComponent;
use k3s_ingress::{EntryPoint, Ingress, IngressConfig};
use k3s_plugin_host::Policy;
use serde_json::Map;

use crate::node::context::NodeContext;
use crate::plugins::Component;

/// For `--disable`; its name is also that of the service account that it acts as.
pub(crate) const COMPONENT: PackagedComponent = PackagedComponent::Traefik;

/// Starts the battery.
pub(crate) async fn start(context: &NodeContext) -> Result<()> {
    if context.is_disabled(COMPONENT) {
        return Ok(());
    }
    let (component, ambient) = (&context.batteries.ingress, &context.ambient);
    let options = options(component, &ambient.clock, &ambient.random);
    let host = component.host(&context.plugin_host);
    let compiler = tokio::task::block_in_place(|| open_ingress(&host, component.source(), options))
        .context("start the ingress controller")?;
    let compiler = Arc::new(compiler);
    make_replaceable(context, &compiler);
    let config = IngressConfig {
        entry_points: EntryPoint::standard(),
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

fn options(component: &Component, clock: &Clock, random: &Random) -> IngressOptions {
    IngressOptions {
        config: component.config(Map::new()),
        policy: Policy::default(),
        clock: clock.clone(),
        random: random.clone(),
    }
}

/// Lets a reload put another component in this one's place.
fn make_replaceable(context: &NodeContext, compiler: &Arc<WasmCompiler>) {
    let (compiler, host) = (compiler.clone(), context.plugin_host.clone());
    let (clock, random) = (
        context.ambient.clock.clone(),
        context.ambient.random.clone(),
    );
    context.swaps.add(&context.batteries.ingress, move |new| {
        let (compiler, host) = (compiler.clone(), new.host(&host));
        let options = options(&new, &clock, &random);
        async move { Ok(compiler.swap(&host, new.source(), options).await?) }
    });
}
