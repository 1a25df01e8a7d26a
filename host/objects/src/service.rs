//! Services (`core/v1.Service`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use crate::view::view;

/// `sessionAffinityConfig.clientIP.timeoutSeconds` when it is not given: three hours.
const DEFAULT_AFFINITY_SECS: u32 = 10_800;

view! {
    /// A Service.
    pub struct Service {
        /// Desired state.
        pub spec: ServiceSpec,
        /// Observed state.
        pub status: ServiceStatus,
    }

    /// `core/v1.ServiceSpec`
    pub struct ServiceSpec {
        /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
        #[serde(rename = "type")]
        pub kind: String,
        /// The first address; `None` as text makes the Service headless.
        #[serde(rename = "clusterIP")]
        pub cluster_ip: String,
        /// All addresses.
        #[serde(rename = "clusterIPs")]
        pub cluster_ips: Vec<String>,
        /// Further addresses that lead to a node.
        #[serde(rename = "externalIPs")]
        pub external_ips: Vec<String>,
        /// The name that an `ExternalName` Service stands for.
        pub external_name: String,
        /// Ports.
        pub ports: Vec<ServicePort>,
        /// The pods behind it; empty when the endpoints are managed by others.
        pub selector: BTreeMap<String, String>,
        /// `None` or `ClientIP`.
        pub session_affinity: String,
        /// Settings of the affinity.
        pub session_affinity_config: SessionAffinityConfig,
        /// `Cluster` or `Local`, for traffic from outside.
        pub external_traffic_policy: String,
        /// `Cluster` or `Local`, for traffic from pods.
        pub internal_traffic_policy: String,
        /// Port that load balancers ask about local endpoints; 0 for none.
        pub health_check_node_port: u16,
        /// Who may use the load balancer's addresses; empty is everyone.
        pub load_balancer_source_ranges: Vec<String>,
        /// `IPv4` and `IPv6`, the primary first; empty before they are assigned.
        pub ip_families: Vec<String>,
        /// Whether pods that are not ready count as endpoints that are.
        pub publish_not_ready_addresses: bool,
    }

    /// `core/v1.ServicePort`
    pub struct ServicePort {
        /// Empty for the only port.
        pub name: String,
        /// `TCP`, `UDP` or `SCTP`.
        pub protocol: String,
        /// Port of the Service.
        pub port: u16,
        /// Port of the pods: a number or the name of a container's port.
        pub target_port: Option<Value>,
        /// Port of every node; 0 for none.
        pub node_port: u16,
        /// What is spoken above the protocol, as its author names it.
        pub app_protocol: Option<String>,
    }

    /// `core/v1.SessionAffinityConfig`
    pub struct SessionAffinityConfig {
        /// For `ClientIP`.
        #[serde(rename = "clientIP")]
        pub client_ip: ClientIpConfig,
    }

    /// `core/v1.ClientIPConfig`
    pub struct ClientIpConfig {
        /// How long a client stays with its endpoint.
        pub timeout_seconds: Option<u32>,
    }

    /// `core/v1.ServiceStatus`
    pub struct ServiceStatus {
        /// What the load balancer reported.
        pub load_balancer: LoadBalancerStatus,
    }

    /// `core/v1.LoadBalancerStatus`
    pub struct LoadBalancerStatus {
        /// Addresses that answer for the Service.
        pub ingress: Vec<LoadBalancerIngress>,
    }

    /// `core/v1.LoadBalancerIngress`
    pub struct LoadBalancerIngress {
        /// Address; empty where there is a host name instead.
        pub ip: String,
        /// `VIP` or `Proxy`; empty means `VIP`.
        pub ip_mode: String,
    }
}

impl ServiceSpec {
    /// The cluster addresses, the primary one first.
    #[must_use]
    pub fn cluster_addresses(&self) -> Vec<IpAddr> {
        let mut addresses = Vec::with_capacity(2);
        let texts = std::iter::once(&self.cluster_ip).chain(&self.cluster_ips);
        for address in texts.filter_map(|text| text.parse().ok()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// The address families, the primary first: `IPv4` and `IPv6`.
    #[must_use]
    pub fn families(&self) -> Vec<&str> {
        if self.ip_families.is_empty() {
            let is_ipv6 = self.cluster_ip.contains(':');
            return vec![if is_ipv6 { "IPv6" } else { "IPv4" }];
        }
        self.ip_families.iter().map(String::as_str).collect()
    }

    /// Whether the Service has endpoints but no address of its own.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.cluster_ip == "None"
    }

    /// Whether the Service stands for a name outside the cluster.
    #[must_use]
    pub fn is_external_name(&self) -> bool {
        self.kind == "ExternalName"
    }

    /// How long a client stays with its endpoint; `None` without affinity.
    #[must_use]
    pub fn affinity_secs(&self) -> Option<u32> {
        let timeout = self.session_affinity_config.client_ip.timeout_seconds;
        (self.session_affinity == "ClientIP").then(|| timeout.unwrap_or(DEFAULT_AFFINITY_SECS))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> ServiceSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn cluster_addresses_are_listed_once() {
        for (value, expected) in [
            (json!({"clusterIP": "None", "clusterIPs": ["None"]}), vec![]),
            (json!({"clusterIP": "10.43.0.1"}), vec!["10.43.0.1"]),
            (
                json!({"clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1", "fd00::1"]}),
                vec!["10.43.0.1", "fd00::1"],
            ),
            (json!({"clusterIPs": null}), vec![]),
        ] {
            let addresses = spec(value).cluster_addresses();
            let texts: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            assert_eq!(texts, expected);
        }
    }

    #[test]
    fn affinity_lasts_three_hours_unless_told_otherwise() {
        let client = json!({"sessionAffinity": "ClientIP"});
        assert_eq!(spec(client).affinity_secs(), Some(10_800));
        let config = json!({"clientIP": {"timeoutSeconds": 60}});
        let timed = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": config});
        assert_eq!(spec(timed).affinity_secs(), Some(60));
        let off = json!({"sessionAffinity": "None", "sessionAffinityConfig": config});
        assert_eq!(spec(off).affinity_secs(), None);
    }
}
