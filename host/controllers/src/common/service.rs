//! Which Pods serve a Service, at which ports and under which conditions.

use std::collections::BTreeMap;

use k3s_client::{Informer, InformerEvent, Obj, Object};
use k3s_meta::tree;
use k3s_objects::Pod;
use k3s_objects::service::{ServicePort, ServiceSpec};
use k3s_reconcile::Key;
use serde_json::Value;

use super::pod;

pub(crate) const HEADLESS: &str = "service.kubernetes.io/headless";

/// A Service that selects Pods.
pub(crate) struct Service<'a> {
    pub(crate) object: &'a Object,
    pub(crate) spec: &'a ServiceSpec,
}

/// A port as it stands on the Pods.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndpointPort {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) port: i64,
    pub(crate) app_protocol: Option<String>,
}

impl<'a> Service<'a> {
    /// Nothing for a Service that selects no Pods.
    pub(crate) fn read(object: &'a Object) -> Option<Self> {
        let spec = match object.typed::<k3s_objects::Service>() {
            Ok(service) => &service.spec,
            Err(error) => {
                tracing::warn!(service = %object.key(), error = %error.chain(), "cannot read a service");
                return None;
            }
        };
        let selects = !spec.is_external_name() && !spec.selector.is_empty();
        selects.then_some(Self { object, spec })
    }

    /// The Pods that the selector picks.
    pub(crate) fn pods(&self, pods: &Informer) -> Vec<Object> {
        let mut picked = pods.in_namespace(self.object.namespace());
        picked.retain(|object| pod::has_labels(object, &self.spec.selector));
        picked.sort_by(|a, b| a.name().cmp(b.name()));
        picked
    }

    /// The Service's ports on one Pod; a named target that the Pod does not have is left out.
    pub(crate) fn ports_on(&self, pod: &Pod) -> Vec<EndpointPort> {
        let mut ports = Vec::new();
        for declared in &self.spec.ports {
            let Some(port) = target_on(declared, pod) else {
                continue;
            };
            ports.push(EndpointPort {
                name: declared.name.clone(),
                protocol: protocol(&declared.protocol).to_owned(),
                port,
                app_protocol: declared.app_protocol.clone(),
            });
        }
        ports
    }

    /// The labels that its endpoints inherit.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.object.meta().labels.clone();
        labels.remove(HEADLESS);
        if self.spec.is_headless() {
            labels.insert(HEADLESS.into(), String::new());
        }
        labels
    }

    /// The host name under which the Pod appears, if it asks for one below this Service.
    pub(crate) fn hostname<'p>(&self, pod: &'p Pod) -> Option<&'p str> {
        let hostname = pod.spec.hostname.as_str();
        let is_below_this = pod.spec.subdomain == self.object.name();
        if hostname.is_empty() || !is_below_this {
            return None;
        }
        Some(hostname)
    }
}

/// The number of a Service's port on a Pod: its target, by number or by the name of a container's port.
fn target_on(declared: &ServicePort, pod: &Pod) -> Option<i64> {
    let name = match &declared.target_port {
        Some(Value::Number(number)) if number.as_i64() != Some(0) => return number.as_i64(),
        Some(Value::String(name)) if !name.is_empty() => name,
        _ => return Some(i64::from(declared.port)),
    };
    let wanted = protocol(&declared.protocol);
    // Sidecars serve too.
    let sidecars = pod
        .spec
        .init_containers
        .iter()
        .filter(|container| container.is_sidecar());
    let found = pod
        .spec
        .containers
        .iter()
        .chain(sidecars)
        .flat_map(|container| &container.ports)
        .find(|port| port.name == *name && protocol(&port.protocol) == wanted);
    found.map(|port| i64::from(port.container_port))
}

/// A port's protocol, or what it is without one.
fn protocol(given: &str) -> &str {
    if given.is_empty() { "TCP" } else { given }
}

/// The Pod's address of a family.
pub(crate) fn address<'a>(pod: &'a Pod, family: &str) -> Option<&'a str> {
    let wants_ipv6 = family == "IPv6";
    let fits = |ip: &&str| {
        let is_ipv6 = ip.contains(':');
        !ip.is_empty() && is_ipv6 == wants_ipv6
    };
    let primary = pod.status.pod_ip.as_str();
    pod.status
        .pod_ips
        .iter()
        .map(|entry| entry.ip.as_str())
        .chain([primary])
        .find(fits)
}

/// The Services that a Pod's change concerns.
pub(crate) fn services_of_pod(event: &InformerEvent, services: &Informer) -> Vec<Key> {
    let (old, new) = match event {
        InformerEvent::Updated { old, new } => {
            if !concerns_endpoints(old, new) {
                return Vec::new();
            }
            (Some(old), new)
        }
        InformerEvent::Added(new) | InformerEvent::Deleted(new) => (None, new),
    };
    let is_concerned = |service: &Object| {
        let selected_old = old.is_some_and(|old| selects(service, old));
        selected_old || selects(service, new)
    };
    services
        .in_namespace(new.namespace())
        .into_iter()
        .filter(is_concerned)
        .map(|service| service.key().clone())
        .collect()
}

/// A Service without a selector selects nothing.
fn selects(service: &Obj, pod: &Obj) -> bool {
    let selector = tree::map(service.value(), "spec.selector");
    if selector.is_empty() {
        return false;
    }
    selector
        .iter()
        .all(|(name, value)| pod.label(name) == value.as_str())
}

fn concerns_endpoints(old: &Obj, new: &Obj) -> bool {
    let before = pod::of(old);
    let after = pod::of(new);
    old.meta().labels != new.meta().labels
        || old.is_deleting() != new.is_deleting()
        || before.is_ready() != after.is_ready()
        || before.is_terminal() != after.is_terminal()
        || before.spec.node_name != after.spec.node_name
        || before.status.pod_ip != after.status.pod_ip
        || addresses(before) != addresses(after)
}

fn addresses(pod: &Pod) -> Vec<&str> {
    pod.status
        .pod_ips
        .iter()
        .map(|entry| entry.ip.as_str())
        .collect()
}
