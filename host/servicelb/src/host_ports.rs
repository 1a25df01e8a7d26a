//! Ports of a node that a pod asks for by `hostPort`, and a LoadBalancer Service too. On K3s the load balancer is a
//! pod with host ports of its own, so that one of the two never gets to the node. Here the older of them has the
//! port, whatever came to this process first, and the author of the other is told.

use std::net::IpAddr;

use k3s_base::error::chain;
use k3s_client::{Informer, Obj, Object};
use k3s_objects::pod::ContainerPort;
use k3s_objects::{Pod, Service};

use crate::model::{Assignment, Forward, Problem};

/// Index of pods by the ports of nodes that they ask for.
const BY_HOST_PORT: &str = "host-port";
/// The reason of Events, and of the problem that sets a condition.
pub(crate) const PORT_CONFLICT: &str = "PortConflict";

/// Pods with host ports. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HostPorts(Informer);

/// A pod whose port a Service has.
#[derive(Debug)]
pub(crate) struct Loser {
    pub(crate) pod: Object,
    pub(crate) message: String,
}

impl HostPorts {
    pub(crate) fn new(pods: Informer) -> Self {
        pods.add_index(BY_HOST_PORT, keys);
        Self(pods)
    }

    /// Takes from an assignment the nodes on which older pods have ports of the Service, and finds the pods that
    /// are younger.
    pub(crate) fn settle(&self, assignment: &mut Assignment, object: &Obj) -> Vec<Loser> {
        let Ok(service) = object.typed::<Service>() else {
            return Vec::new();
        };
        let mut losers = Vec::new();
        let mut dropped: Vec<Forward> = Vec::new();
        assignment.forwards.retain(|forward| {
            let ports = service.spec.ports.iter();
            let wanted = ports.map(|port| (protocol(&port.protocol), port.port));
            let mut keeps = true;
            for (protocol, port) in wanted {
                for pod in self.on(&forward.node, protocol, port, &forward.addresses) {
                    let what = format!("port {port}/{protocol}");
                    let node = &forward.node;
                    if is_older(&pod, object) {
                        let message = format!("{what} is used by pod {} on node {node}", pod.key());
                        let reason = PORT_CONFLICT.to_owned();
                        assignment.problems.push(Problem { reason, message });
                        keeps = false;
                    } else {
                        let service = object.key();
                        let message = format!(
                            "host {what} leads to Service {service}, which is older, on node {node}"
                        );
                        losers.push(Loser { pod, message });
                    }
                }
            }
            if !keeps {
                dropped.push(forward.clone());
            }
            keeps
        });
        let is_of = |forwards: &[Forward], ip: IpAddr| {
            let mut all = forwards.iter().flat_map(|forward| &forward.addresses);
            all.any(|address| *address == ip)
        };
        let left = &assignment.forwards;
        assignment
            .ingress
            .retain(|shown| !is_of(&dropped, shown.ip) || is_of(left, shown.ip));
        losers
    }

    /// Pods that have a port of a node on one of these addresses.
    fn on(&self, node: &str, protocol: &str, port: u16, addresses: &[IpAddr]) -> Vec<Object> {
        let mut pods = self.0.by_index(BY_HOST_PORT, &key(node, protocol, port));
        pods.retain(|pod| {
            let ports = view(pod).into_iter().flat_map(|pod| pod.spec.host_ports());
            let mut same = ports.filter(|it| is_port(it, protocol, port));
            same.any(|it| match it.host_ip.parse::<IpAddr>() {
                Ok(ip) if !ip.is_unspecified() => addresses.contains(&ip),
                _ => true,
            })
        });
        pods
    }
}

/// Whether a Service and a pod want one port of a node.
pub(crate) fn concerns(pod: &Obj, service: &Obj) -> bool {
    let (Some(pod), Ok(service)) = (view(pod), service.typed::<Service>()) else {
        return false;
    };
    let mut ports = pod.spec.host_ports();
    ports.any(|wanted| {
        let mut all = service.spec.ports.iter();
        all.any(|port| is_port(wanted, protocol(&port.protocol), port.port))
    })
}

fn is_port(wanted: &ContainerPort, protocol_name: &str, port: u16) -> bool {
    wanted.host_port == port && protocol(&wanted.protocol) == protocol_name
}

fn protocol(text: &str) -> &str {
    if text.is_empty() { "TCP" } else { text }
}

fn key(node: &str, protocol: &str, port: u16) -> String {
    format!("{node}/{protocol}/{port}")
}

/// The ports of its node that a pod has: none before it is scheduled, and after it has ended.
fn keys(pod: &Obj) -> Vec<String> {
    let Some(pod) = view(pod).filter(|pod| !pod.is_terminal() && !pod.spec.node_name.is_empty())
    else {
        return Vec::new();
    };
    let key = |port: &ContainerPort| {
        key(
            &pod.spec.node_name,
            protocol(&port.protocol),
            port.host_port,
        )
    };
    pod.spec.host_ports().map(key).collect()
}

/// By time, then by name.
fn is_older(pod: &Obj, service: &Obj) -> bool {
    let age = |object: &Obj| {
        (
            object.meta().creation_timestamp.clone(),
            object.key().clone(),
        )
    };
    age(pod) < age(service)
}

fn view(pod: &Obj) -> Option<&Pod> {
    let view = pod.typed::<Pod>();
    if let Err(error) = &view {
        tracing::warn!(pod = %pod.key(), error = chain(error), "a pod cannot be read");
    }
    view.ok()
}
