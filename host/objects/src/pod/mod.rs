//! Pods (`core/v1.Pod`): the fields that components interpret, and what follows from them.

mod model;
mod qos;
mod resize;
mod sums;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use model::{
    Container, ContainerPort, ContainerState, ContainerStatus, Named, PersistentVolumeClaimSource,
    Pod, PodIp, PodSpec, PodStatus, Terminated, Volume,
};
pub use qos::QosClass;

use crate::affinity::matches_required;
use crate::condition::{self, Condition};

/// On the Pod that shows a static pod of a node (`kubelet/pkg/types/constants.go`). Nothing runs it for the
/// API: what it names was not granted to the node.
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

impl Pod {
    /// The condition of a type.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        condition::find(&self.status.conditions, kind)
    }

    /// Whether the pod takes traffic.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        condition::is_true(&self.status.conditions, "Ready")
    }

    /// Whether the pod has a node.
    #[must_use]
    pub fn is_scheduled(&self) -> bool {
        !self.spec.node_name.is_empty()
    }

    /// Whether all containers have ended for good.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl PodSpec {
    /// Whether `nodeSelector` and required node affinity allow a node.
    #[must_use]
    pub fn matches_node(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        let required = self.affinity.node_affinity.required.as_ref();
        matches_required(&self.node_selector, required, name, labels)
    }

    /// Ports that the pod takes on its node for as long as it runs: those of its containers and
    /// sidecars (`scheduler/util/utils.go`, `GetHostPorts`).
    pub fn host_ports(&self) -> impl Iterator<Item = &ContainerPort> {
        let sidecars = self.init_containers.iter().filter(|c| c.is_sidecar());
        self.containers
            .iter()
            .chain(sidecars)
            .flat_map(|container| &container.ports)
            .filter(|port| port.host_port != 0)
    }
}

impl PodStatus {
    /// The pod's addresses, the primary one first. `podIPs` counts; `podIP` is its first entry, and all that old
    /// kubelets wrote.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::with_capacity(2);
        let listed = self.pod_ips.iter().map(|address| &address.ip);
        let first = std::iter::once(&self.pod_ip).filter(|_| self.pod_ips.is_empty());
        addresses.extend(
            listed
                .chain(first)
                .filter_map(|text| text.parse::<IpAddr>().ok()),
        );
        addresses
    }
}

impl Container {
    /// Whether an init container keeps running beside the others (KEP-753).
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_those_of_the_list_or_else_the_single_one() {
        for (status, expected) in [
            (
                json!({"podIPs": [{"ip": "10.42.0.5"}, {"ip": "fd00::5"}], "podIP": "10.42.0.9"}),
                &["10.42.0.5", "fd00::5"][..],
            ),
            (json!({"podIP": "10.42.0.9"}), &["10.42.0.9"]),
            (json!({"podIPs": [{"ip": "x"}]}), &[]),
            (json!({}), &[]),
        ] {
            let read: PodStatus = serde_json::from_value(status).unwrap();
            let addresses: Vec<String> = read.addresses().iter().map(IpAddr::to_string).collect();
            assert_eq!(addresses, expected);
        }
    }

    #[test]
    fn host_ports_of_containers_and_sidecars() {
        let on = |port: u16| json!({"containerPort": 80, "hostPort": port});
        let spec: PodSpec = serde_json::from_value(json!({
            "containers": [{"ports": [on(8080), {"containerPort": 81}]}],
            "initContainers": [{"ports": [on(9090)], "restartPolicy": "Always"}, {"ports": [on(7070)]}]}))
        .unwrap();
        let ports: Vec<u16> = spec.host_ports().map(|port| port.host_port).collect();
        assert_eq!(ports, [8080, 9090]);
    }

    #[test]
    fn node_selector_and_affinity_must_both_match() {
        let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
        let named = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]}}});
        for (spec, expected) in [
            (json!({}), true),
            (json!({"nodeSelector": {"disk": "ssd"}}), true),
            (json!({"nodeSelector": {"disk": "hdd"}}), false),
            (
                json!({"nodeSelector": {"disk": "ssd"}, "affinity": named}),
                true,
            ),
            (
                json!({"nodeSelector": {"disk": "hdd"}, "affinity": named}),
                false,
            ),
        ] {
            let parsed: PodSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(parsed.matches_node("n", &labels), expected, "{spec}");
        }
    }
}
