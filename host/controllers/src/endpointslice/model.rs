//! Pure: the endpoints of a Service, grouped as slices need them.

use std::collections::BTreeMap;

use k3s_client::Object;
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
    service: &Service,
    pods: &[Object],
    zone: impl Fn(&str) -> Option<String>,
) -> Vec<Group> {
    let mut groups: BTreeMap<(String, Vec<EndpointPort>), BTreeMap<String, Value>> =
        BTreeMap::new();
    for family in &service.families {
        for object in pods {
            let view = pod::of(object);
            let Some(ip) = address(view, family).filter(|_| !view.is_terminal()) else {
                continue;
            };
            let mut ports = service.ports_on(view);
            ports.sort();
            let endpoint = endpoint(service, object, ip, &zone);
            groups
                .entry((family.clone(), ports))
                .or_default()
                .insert(object.uid().to_owned(), endpoint);
        }
        if !groups.keys().any(|(own, _)| own == family) {
            groups.insert((family.clone(), Vec::new()), BTreeMap::new());
        }
    }
    let group =
        |((family, ports), endpoints): ((String, Vec<EndpointPort>), BTreeMap<String, Value>)| {
            Group {
                family,
                ports: ports.iter().map(slice_port).collect(),
                endpoints,
            }
        };
    groups.into_iter().map(group).collect()
}

/// Unlike in Endpoints, the name is always there, also when empty.
fn slice_port(port: &EndpointPort) -> Value {
    let mut value = json!({"name": port.name, "port": port.port, "protocol": port.protocol});
    if let (Some(map), Some(protocol)) = (value.as_object_mut(), &port.app_protocol) {
        map.insert("appProtocol".into(), protocol.as_str().into());
    }
    value
}

fn endpoint(
    service: &Service,
    object: &Object,
    ip: &str,
    zone: &impl Fn(&str) -> Option<String>,
) -> Value {
    let view = pod::of(object);
    let serving = service.publish_not_ready || view.is_ready();
    let terminating = object.is_deleting();
    let ready = service.publish_not_ready || (serving && !terminating);
    let mut endpoint = json!({
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": {"kind": "Pod", "namespace": object.namespace(), "name": object.name(), "uid": object.uid()},
    });
    if let Some(map) = endpoint.as_object_mut() {
        if view.is_scheduled() {
            map.insert("nodeName".into(), view.spec.node_name.as_str().into());
        }
        if let Some(zone) = zone(&view.spec.node_name) {
            map.insert("zone".into(), zone.into());
        }
        if let Some(hostname) = service.hostname(view) {
            map.insert("hostname".into(), hostname.into());
        }
    }
    endpoint
}
