//! Pure: the endpoints of a Service, grouped as slices need them.

use std::collections::BTreeMap;

use k3s_client::Object;
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::common::pod;
use crate::common::service::{EndpointPort, Service, address};

pub(super) const MANAGER: &str = "endpointslice-controller.k8s.io";
pub(super) const ZONE: &str = "topology.kubernetes.io/zone";

/// Endpoints that fit into the same slices: one address family and one set of ports.
pub(super) struct Group {
    pub(super) family: String,
    pub(super) ports: Vec<Value>,
    /// By the Pod's UID.
    pub(super) endpoints: BTreeMap<String, Value>,
}

/// At least one group per family, empty where nothing serves.
pub(super) fn groups(
    service: &Service<'_>,
    pods: &[Object],
    zone: impl Fn(&str) -> Option<String>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for family in service.spec.families() {
        let mut by_ports: BTreeMap<Vec<EndpointPort>, BTreeMap<String, Value>> = BTreeMap::new();
        for object in pods {
            let view = pod::of(object);
            if view.is_terminal() {
                continue;
            }
            let Some(ip) = address(view, family) else {
                continue;
            };
            let mut ports = service.ports_on(view);
            ports.sort();
            let uid = object.uid().to_owned();
            let endpoint = endpoint(service, object, ip, &zone);
            let endpoints = by_ports.entry(ports).or_default();
            endpoints.insert(uid, endpoint);
        }
        if by_ports.is_empty() {
            by_ports.insert(Vec::new(), BTreeMap::new());
        }
        for (ports, endpoints) in by_ports {
            groups.push(Group {
                family: family.to_owned(),
                ports: ports.iter().map(slice_port).collect(),
                endpoints,
            });
        }
    }
    groups
}

/// Unlike in Endpoints, the name is always there, also when empty.
fn slice_port(port: &EndpointPort) -> Value {
    let mut value = json!({
        "name": port.name,
        "port": port.port,
        "protocol": port.protocol,
    });
    if let Some(protocol) = &port.app_protocol {
        tree::set(&mut value, "appProtocol", protocol.as_str());
    }
    value
}

fn endpoint(
    service: &Service<'_>,
    object: &Object,
    ip: &str,
    zone: &impl Fn(&str) -> Option<String>,
) -> Value {
    let view = pod::of(object);
    let node = view.spec.node_name.as_str();
    let serving = service.spec.publish_not_ready_addresses || view.is_ready();
    let terminating = object.is_deleting();
    let ready = service.spec.publish_not_ready_addresses || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [ip],
        "conditions": {
            "ready": ready,
            "serving": serving,
            "terminating": terminating,
        },
        "targetRef": {
            "kind": "Pod",
            "namespace": object.namespace(),
            "name": object.name(),
            "uid": object.uid(),
        },
    });
    if view.is_scheduled() {
        tree::set(&mut endpoint, "nodeName", node);
    }
    if let Some(zone) = zone(node) {
        tree::set(&mut endpoint, "zone", zone);
    }
    if let Some(hostname) = service.hostname(view) {
        tree::set(&mut endpoint, "hostname", hostname);
    }
    endpoint
}
