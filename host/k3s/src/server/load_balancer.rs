//! LoadBalancer Services: the component in its adapter, and the controller that it decides for.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::load_balancer::{LoadBalancerOptions, open_load_balancer};
use k3s_client::ClientFactory;
use k3s_config::{PackagedComponent, ServerSettings};
use k3s_ingress::EntryPoint;
use k3s_plugin_host::Host;
use k3s_servicelb::{ServeLoadBalancers, release, serve};
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::ambient::Ambient;
use crate::clients;
use crate::node::ingress;
use crate::node::service_forwards::ServiceForwards;
use crate::plugins::Component;
use crate::plugins::replace::Running;
use crate::server::context::ServerContext;

/// K3s' service load balancer is a part of its cloud controller.
const IDENTITY: &str = "k3s-cloud-controller-manager";
/// Its name for `--disable`.
const COMPONENT: PackagedComponent = PackagedComponent::ServiceLb;

/// Starts the load balancer, or with `--disable servicelb` the removal of what it left behind. `forwards`
/// receives the addresses of the node in this process.
pub(crate) fn start(
    server: &ServerContext,
    ambient: &Ambient,
    clients: &ClientFactory,
    host: &Host,
    component: &Component,
    forwards: Arc<ServiceForwards>,
) -> Result<()> {
    let cluster = &server.settings.cluster;
    let client = clients::for_component(clients, IDENTITY);
    let informers = ambient.informers(&client);
    if cluster.disabled.contains(COMPONENT) {
        release(client, &informers, &ambient.tasks);
        return Ok(());
    }
    if cluster.disable_kube_proxy {
        warn!(
            "--disable-kube-proxy: load balancers answer only if another service proxy serves the addresses in their status"
        );
    }
    let options = LoadBalancerOptions {
        config: component.config(known_config(&server.settings)),
        environment: ambient.environment(),
    };
    let granted = component.host(host);
    let balancer =
        tokio::task::block_in_place(|| open_load_balancer(&granted, component.source(), options))
            .context("start the service load balancer")?;
    let balancer = Arc::new(balancer);
    let settings = server.settings.clone();
    let battery = balancer.battery().clone();
    let running = Running::new(battery, host, move |_| known_config(&settings));
    server.swaps.add(component, running);
    let config = ServeLoadBalancers {
        balancer,
        client,
        informers,
        forwards,
        clock: ambient.clock.clone(),
        random: ambient.random.clone(),
    };
    serve(config, &ambient.tasks);
    ambient.timeline.ready("service load balancer");
    Ok(())
}

/// Ports of the node that a Service would cut off: those of the ingress controller only where there is
/// one, so that with `--disable traefik` another one can have them by a Service.
fn known_config(settings: &ServerSettings) -> Map<String, Value> {
    let port = |port: u16, by: &str| json!({"protocol": "TCP", "port": port, "by": by});
    let has_ingress =
        !settings.disable_agent && !settings.cluster.disabled.contains(ingress::COMPONENT);
    let entry_points = if has_ingress {
        EntryPoint::standard()
    } else {
        Vec::new()
    };
    let ingress = entry_points
        .iter()
        .map(|point| port(point.listen.port(), "the ingress controller"));
    let own = [
        port(settings.https_port, "the API server"),
        port(KUBELET_PORT, "the kubelet"),
    ];
    let reserved: Vec<Value> = own.into_iter().chain(ingress).collect();
    Map::from_iter([("reserved".to_owned(), reserved.into())])
}

const KUBELET_PORT: u16 = 10_250;
