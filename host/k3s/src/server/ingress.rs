//! The ingress battery: the component in its adapter, and the data plane on ports 80 and 443.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::ingress::{IngressOptions, WasmCompiler, open_ingress};
use k3s_base::{Clock, Random};
use k3s_ingress::{EntryPoint, Ingress, IngressConfig};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::Policy;
use serde_json::Map;
use tracing::warn;

use super::Shared;
use super::control_plane::ControlPlane;
use super::identity::NodeIdentity;
use super::plugins::Component;

/// As in K3s, for `--disable` and as the service account that it acts as.
const NAME: &str = "traefik";

/// Starts the battery, or takes away what an earlier start left in the cluster.
pub(crate) async fn start(shared: &Shared, tasks: &Tasks, node: &NodeIdentity, plane: &ControlPlane) -> Result<()> {
    let client = plane.clients.for_controller(NAME);
    if shared.settings.disabled.iter().any(|name| name == NAME) {
        tasks.spawn_until_stopped("ingress removal", async move {
            if let Err(error) = k3s_ingress::remove(&client).await {
                warn!(error = error.chain(), "cannot remove IngressClass traefik");
            }
        });
        return Ok(());
    }
    let options = options(&plane.ingress, &shared.clock, &shared.random);
    let host = plane.ingress.host(&plane.plugin_host);
    let compiler = tokio::task::block_in_place(|| open_ingress(&host, plane.ingress.source(), options))
        .context("start the ingress controller")?;
    let compiler = Arc::new(compiler);
    make_replaceable(shared, plane, &compiler);
    let external = &shared.settings.node_external_ips;
    let config = IngressConfig {
        entry_points: EntryPoint::standard(),
        // As a LoadBalancer Service shows them: external addresses where a node has some.
        addresses: if external.is_empty() { node.addresses.clone() } else { external.clone() },
        node_name: node.name.clone(),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    Ingress::start(config, compiler, client, &shared.metrics, tasks).await.context("start the ingress data plane")?;
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
        let (compiler, host, options) = (compiler.clone(), new.host(&host), options(&new, &clock, &random));
        async move { Ok(compiler.swap(&host, new.source(), options).await?) }
    });
}
