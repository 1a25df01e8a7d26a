//! The ingress battery: the component in its adapter, and the data plane on ports 80 and 443.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::ingress::{IngressOptions, WasmCompiler, open_ingress};
use k3s_base::{Clock, Random};
use k3s_config::PackagedComponent;
use k3s_deploy::USER;
use k3s_ingress::{EntryPoint, Ingress, IngressConfig};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Policy;
use serde_json::Map;
use tracing::warn;

use crate::plugins::Component;
use crate::server::Shared;
use crate::server::control_plane::{ControlPlane, component_client};
use crate::server::identity::NodeIdentity;

/// For `--disable`; its name is also that of the service account that it acts as.
pub(crate) const COMPONENT: PackagedComponent = PackagedComponent::Traefik;

/// With `--disable traefik`: takes addresses out of Ingresses that were served by an earlier start.
pub(crate) async fn release(shared: &Shared, plane: &ControlPlane) {
    if shared.is_disabled(COMPONENT)
        && let Err(error) = k3s_ingress::release(&component_client(&plane.clients, USER)).await
    {
        warn!(
            error = error.chain(),
            "cannot take the addresses out of Ingresses"
        );
    }
}

/// Whether ports of this machine are the ingress controller's.
pub(crate) fn is_served(shared: &Shared) -> bool {
    !shared.is_disabled(COMPONENT) && !shared.settings.disable_agent
}

/// Starts the battery.
pub(crate) async fn start(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
) -> Result<()> {
    if !is_served(shared) {
        return Ok(());
    }
    let client = plane.clients.for_controller(COMPONENT.name());
    let options = options(&plane.ingress, &shared.clock, &shared.random);
    let host = plane.ingress.host(&plane.plugin_host);
    let compiler =
        tokio::task::block_in_place(|| open_ingress(&host, plane.ingress.source(), options))
            .context("start the ingress controller")?;
    let compiler = Arc::new(compiler);
    make_replaceable(shared, plane, &compiler);
    let external = &shared.settings.node.external_ips;
    let config = IngressConfig {
        entry_points: EntryPoint::standard(),
        // As a LoadBalancer Service shows them: external addresses where a node has some.
        addresses: if external.is_empty() {
            node.addresses.clone()
        } else {
            external.clone()
        },
        node_name: node.name.clone(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    Ingress::start(config, compiler, client, &shared.metrics, tasks)
        .await
        .context("start the ingress data plane")?;
    shared.timeline.ready("ingress");
    Ok(())
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
fn make_replaceable(shared: &Shared, plane: &ControlPlane, compiler: &Arc<WasmCompiler>) {
    let (compiler, host) = (compiler.clone(), plane.plugin_host.clone());
    let (clock, random) = (shared.clock.clone(), shared.random.clone());
    shared.swaps.add(&plane.ingress, move |new| {
        let (compiler, host, options) = (
            compiler.clone(),
            new.host(&host),
            options(&new, &clock, &random),
        );
        async move { Ok(compiler.swap(&host, new.source(), options).await?) }
    });
}
