//! Pure: the subsets of an Endpoints object.

use std::collections::BTreeMap;

use k3s_client::Object;
use k3s_meta::tree;
use k3s_objects::Pod;
use serde_json::{Value, json};

use crate::common::pod;
use crate::common::service::{EndpointPort, Service, address};

pub(super) const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
pub(super) const MANAGER: &str = "endpoint-controller";
/// An Endpoints object names no more; readers that need all take EndpointSlices.
const CAPACITY: usize = 1000;

pub(super) fn labels(service: &Service<'_>) -> BTreeMap<String, String> {
    let mut labels = service.labels();
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    labels
}

pub(super) fn skeleton(service: &Service<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": service.object.name(),
            "namespace": service.object.namespace(),
        },
    })
}

#[derive(Default)]
struct Subset {
    ready: Vec<Value>,
    not_ready: Vec<Value>,
}

/// Addresses that share a set of ports make one subset.
pub(super) fn subsets(service: &Service<'_>, pods: &[Object]) -> Vec<Value> {
    let families = service.spec.families();
    let family = families.first().copied().unwrap_or("IPv4");
    let needs_no_port = service.spec.is_headless() && service.spec.ports.is_empty();
    let mut by_ports: BTreeMap<Vec<EndpointPort>, Subset> = BTreeMap::new();
    for object in pods.iter().take(CAPACITY) {
        let view = pod::of(object);
        let Some(ip) = address(view, family) else {
            continue;
        };
        let is_going = object.is_deleting() && !service.spec.publish_not_ready_addresses;
        if is_going || view.is_terminal() {
            continue;
        }
        let mut ports = service.ports_on(view);
        ports.sort();
        if ports.is_empty() && !needs_no_port {
            continue;
        }
        let entry = entry(service, object, view, ip);
        let subset = by_ports.entry(ports).or_default();
        if service.spec.publish_not_ready_addresses || view.is_ready() {
            subset.ready.push(entry);
        } else {
            subset.not_ready.push(entry);
        }
    }
    by_ports
        .into_iter()
        .map(|(ports, subset)| subset.into_value(&ports))
        .collect()
}

fn entry(service: &Service<'_>, object: &Object, view: &Pod, ip: &str) -> Value {
    let mut entry = json!({
        "ip": ip,
        "targetRef": {
            "kind": "Pod",
            "namespace": object.namespace(),
            "name": object.name(),
            "uid": object.uid(),
        },
    });
    if view.is_scheduled() {
        let node = view.spec.node_name.as_str();
        tree::set(&mut entry, "nodeName", node);
    }
    if let Some(hostname) = service.hostname(view) {
        tree::set(&mut entry, "hostname", hostname);
    }
    entry
}

impl Subset {
    fn into_value(self, ports: &[EndpointPort]) -> Value {
        let mut subset = serde_json::Map::new();
        let ports = ports.iter().map(port).collect::<Vec<_>>();
        for (name, list) in [
            ("addresses", self.ready),
            ("notReadyAddresses", self.not_ready),
            ("ports", ports),
        ] {
            if !list.is_empty() {
                subset.insert(name.into(), list.into());
            }
        }
        Value::Object(subset)
    }
}

pub(crate) fn port(port: &EndpointPort) -> Value {
    let mut value = json!({
        "port": port.port,
        "protocol": port.protocol,
    });
    if !port.name.is_empty() {
        tree::set(&mut value, "name", port.name.as_str());
    }
    if let Some(protocol) = &port.app_protocol {
        tree::set(&mut value, "appProtocol", protocol.as_str());
    }
    value
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;

    use super::*;

    fn pod(name: &str, ip: &str, ready: &str) -> Object {
        Obj::from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "a"}},
            "spec": {"nodeName": "node", "containers": [{"ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": ready}]}}))
        .unwrap()
    }

    #[test]
    fn ready_and_unready_addresses_are_told_apart_under_the_pods_own_port() {
        let object = Obj::from_value(json!({"metadata": {"name": "s", "namespace": "n"},
            "spec": {"selector": {"app": "a"}, "clusterIP": "10.43.0.9", "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]}}))
        .unwrap();
        let service = Service::read(&object).unwrap();
        let pods = [
            pod("p", "10.42.0.1", "True"),
            pod("q", "10.42.0.2", "False"),
            pod("r", "", "True"),
        ];
        let subsets = subsets(&service, &pods);
        assert_eq!(subsets.len(), 1);
        assert_eq!(subsets[0]["addresses"][0]["ip"], "10.42.0.1");
        assert_eq!(subsets[0]["notReadyAddresses"][0]["targetRef"]["name"], "q");
        assert_eq!(
            subsets[0]["ports"],
            json!([{"name": "http", "port": 8080, "protocol": "TCP"}])
        );
    }
}
