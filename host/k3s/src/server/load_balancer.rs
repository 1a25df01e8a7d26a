//! LoadBalancer Services: the component in its adapter, and how this node learns what it answers for.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_adapters::load_balancer::{LoadBalancer, LoadBalancerOptions, open_load_balancer};
use k3s_base::{Clock, Random};
use k3s_client::{ClientFactory, Informers};
use k3s_config::PackagedComponent;
use k3s_ingress::EntryPoint;
use k3s_lifecycle::Tasks;
use k3s_netproxy::Forwards;
use k3s_plugin_host::{Host, Policy};
use k3s_servicelb::{NodeForwards, ServeLoadBalancers, release, serve};
use serde_json::{Map, Value, json};
use tracing::warn;

use super::Shared;
use super::control_plane::component_client;
use crate::node::ingress;
use crate::plugins::Component;

/// K3s' service load balancer is a part of its cloud controller.
const IDENTITY: &str = "k3s-cloud-controller-manager";
/// Its name for `--disable`.
const COMPONENT: PackagedComponent = PackagedComponent::ServiceLb;

/// Starts the load balancer, or with `--disable servicelb` what takes its traces back. `node` is this
/// process' node, if it runs one.
pub(crate) fn start(
    shared: &Shared,
    tasks: &Tasks,
    clients: &ClientFactory,
    host: &Host,
    component: &Component,
    node: ThisNode,
) -> Result<()> {
    let settings = &shared.settings;
    let client = component_client(clients, IDENTITY);
    let informers = Informers::new(
        client.clone(),
        shared.clock.clone(),
        shared.random.clone(),
        tasks,
    );
    if shared.is_disabled(COMPONENT) {
        release(client, &informers, tasks);
        return Ok(());
    }
    if settings.cluster.disable_kube_proxy {
        warn!(
            "--disable-kube-proxy: load balancers answer only if another service proxy serves the addresses in their status"
        );
    }
    let options = options(shared, component);
    let granted = component.host(host);
    let balancer =
        tokio::task::block_in_place(|| open_load_balancer(&granted, component.source(), options))
            .context("start the service load balancer")?;
    let balancer = Arc::new(balancer);
    make_replaceable(shared, component, host, &balancer);
    let config = ServeLoadBalancers {
        balancer,
        client,
        informers,
        forwards: Arc::new(node),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    serve(config, tasks);
    shared.timeline.ready("service load balancer");
    Ok(())
}

fn options(shared: &Shared, component: &Component) -> LoadBalancerOptions {
    options_with(reserved(shared), component, &shared.clock, &shared.random)
}

fn options_with(
    reserved: Vec<Value>,
    component: &Component,
    clock: &Clock,
    random: &Random,
) -> LoadBalancerOptions {
    LoadBalancerOptions {
        config: component.config(Map::from_iter([("reserved".to_owned(), reserved.into())])),
        policy: Policy::default(),
        clock: clock.clone(),
        random: random.clone(),
    }
}

/// Lets a reload put another component in this one's place.
fn make_replaceable(
    shared: &Shared,
    component: &Component,
    host: &Host,
    balancer: &Arc<LoadBalancer>,
) {
    let (balancer, host) = (balancer.clone(), host.clone());
    let (reserved, clock, random) = (
        reserved(shared),
        shared.clock.clone(),
        shared.random.clone(),
    );
    shared.swaps.add(component, move |new| {
        let options = options_with(reserved.clone(), &new, &clock, &random);
        let (balancer, host) = (balancer.clone(), new.host(&host));
        async move { Ok(balancer.swap(&host, new.source(), options).await?) }
    });
}

/// Ports of the node that a Service would cut off: those of the ingress controller only where there is
/// one, so that with `--disable traefik` another one can have them by a Service.
fn reserved(shared: &Shared) -> Vec<Value> {
    let port = |port: u16, by: &str| json!({"protocol": "TCP", "port": port, "by": by});
    let entry_points = if ingress::is_served(shared) {
        EntryPoint::standard()
    } else {
        Vec::new()
    };
    let ingress = entry_points
        .iter()
        .map(|point| port(point.listen.port(), "the ingress controller"));
    [
        port(shared.settings.https_port, "the API server"),
        port(KUBELET_PORT, "the kubelet"),
    ]
    .into_iter()
    .chain(ingress)
    .collect()
}

const KUBELET_PORT: u16 = 10_250;

/// The node of this process, told through its service proxy.
pub(crate) struct ThisNode {
    pub(crate) name: String,
    pub(crate) forwards: Forwards,
}

impl NodeForwards for ThisNode {
    fn set(&self, node: &str, service: &str, addresses: &[IpAddr]) {
        if node != self.name {
            return;
        }
        let v4 = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => Some(*ip),
            // The service proxy has no IPv6, and Services get no IPv6 addresses.
            IpAddr::V6(_) => None,
        };
        self.forwards
            .set(service, addresses.iter().filter_map(v4).collect());
    }
}
