//! Objects of the API to the model. Only the few fields that matter are decoded, and nothing is kept.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;

use crate::model::{Endpoint, Service, ServicePort, Transport};
use k3s_client::Obj;

/// Names the Service that an EndpointSlice belongs to.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// A Service with it is another proxy's business.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";
/// Three hours, the default of `sessionAffinityConfig.clientIP.timeoutSeconds`.
const AFFINITY_SECS: u32 = 10_800;

#[derive(Deserialize, Default)]
#[serde(default)]
struct ServiceObject {
    spec: ServiceSpec,
    status: ServiceStatus,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Vec<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Vec<String>,
    ports: Vec<PortSpec>,
    session_affinity: String,
    session_affinity_config: AffinityConfig,
    external_traffic_policy: String,
    health_check_node_port: u16,
    internal_traffic_policy: String,
    load_balancer_source_ranges: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct PortSpec {
    name: String,
    protocol: String,
    port: u16,
    node_port: u16,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: ClientIp,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ClientIp {
    timeout_seconds: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ServiceStatus {
    load_balancer: LoadBalancer,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<Ingress>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Ingress {
    ip: String,
    ip_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SliceObject {
    address_type: String,
    endpoints: Vec<SliceEndpoint>,
    ports: Vec<SlicePort>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SliceEndpoint {
    addresses: Vec<String>,
    conditions: Conditions,
    node_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SlicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

/// The Service, unless there is nothing to forward: headless, an alias, without IPv4, or somebody
/// else's.
pub(crate) fn service(object: &Obj) -> Option<Service> {
    if object.label(PROXY_NAME_LABEL).is_some() || object.label(HEADLESS_LABEL).is_some() {
        return None;
    }
    let ServiceObject { spec, status } =
        object.decode().inspect_err(|e| not_read(object, e)).ok()?;
    let mut cluster_ips = addresses(&spec.cluster_ips);
    cluster_ips.extend(
        spec.cluster_ip
            .parse::<Ipv4Addr>()
            .ok()
            .filter(|ip| !cluster_ips.contains(ip)),
    );
    if spec.service_type == "ExternalName" || cluster_ips.is_empty() {
        return None;
    }
    let is_balancer = spec.service_type == "LoadBalancer";
    let vips = status
        .load_balancer
        .ingress
        .iter()
        .filter(|i| is_balancer && i.ip_mode != "Proxy");
    let affinity = (spec.session_affinity == "ClientIP").then(|| {
        spec.session_affinity_config
            .client_ip
            .timeout_seconds
            .unwrap_or(AFFINITY_SECS)
    });
    Some(Service {
        external_ips: addresses(&spec.external_ips),
        load_balancer_ips: vips.filter_map(|i| i.ip.parse().ok()).collect(),
        source_ranges: source_ranges(object, &spec.load_balancer_source_ranges),
        ports: spec.ports.iter().filter_map(port).collect(),
        affinity_secs: affinity,
        internal_local: spec.internal_traffic_policy == "Local",
        external_local: spec.external_traffic_policy == "Local",
        is_balancer,
        health_check_port: Some(spec.health_check_node_port).filter(|p| is_balancer && *p != 0),
        cluster_ips,
    })
}

/// The endpoints that a slice has for a port of this name and transport, added to `into`.
pub(crate) fn endpoints(object: &Obj, node: &str, into: &mut Vec<((String, Transport), Endpoint)>) {
    let slice: SliceObject = match object.decode() {
        Ok(slice) => slice,
        Err(e) => return not_read(object, &e),
    };
    if slice.address_type != "IPv4" {
        return;
    }
    for port in &slice.ports {
        let transport = Transport::parse(port.protocol.as_deref().unwrap_or_default());
        let (Some(number), Some(transport)) = (port.port, transport) else {
            continue;
        };
        let name = port.name.as_deref().unwrap_or_default();
        for endpoint in &slice.endpoints {
            let Some(address) = endpoint.addresses.first().and_then(|a| a.parse().ok()) else {
                continue;
            };
            let conditions = &endpoint.conditions;
            let ready = conditions.ready.unwrap_or(true);
            let endpoint = Endpoint {
                address,
                port: number,
                ready,
                serving: conditions.serving.unwrap_or(ready),
                terminating: conditions.terminating.unwrap_or(false),
                local: endpoint.node_name.as_deref() == Some(node),
            };
            into.push(((name.to_owned(), transport), endpoint));
        }
    }
}

fn port(spec: &PortSpec) -> Option<ServicePort> {
    Some(ServicePort {
        name: spec.name.clone(),
        transport: Transport::parse(&spec.protocol)?,
        port: spec.port,
        node_port: Some(spec.node_port).filter(|p| *p != 0),
    })
}

fn addresses(texts: &[String]) -> Vec<Ipv4Addr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// A range that cannot be read must not open the Service to everybody: if none can, nobody is let in.
fn source_ranges(object: &Obj, texts: &[String]) -> Vec<Ipv4Net> {
    let ranges: Vec<Ipv4Net> = texts
        .iter()
        .filter_map(|text| text.trim().parse().ok())
        .collect();
    if ranges.len() < texts.len() {
        tracing::warn!(service = %object.key(), ?texts, "source ranges that are not IPv4 networks let nobody in");
    }
    if ranges.is_empty() && !texts.is_empty() {
        vec![Ipv4Net::from(Ipv4Addr::UNSPECIFIED)]
    } else {
        ranges
    }
}

fn not_read(object: &Obj, error: &k3s_client::Error) {
    tracing::warn!(object = %object.key(), kind = object.kind(), %error, "left out, since it cannot be read");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_services_with_an_address_are_taken() {
        let make = |spec| {
            let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}, "spec": spec});
            service(&Obj::from_value(object).unwrap())
        };
        assert_eq!(make(json!({"clusterIP": "None"})), None);
        assert_eq!(
            make(json!({"type": "ExternalName", "externalName": "a.b"})),
            None
        );
        assert_eq!(make(json!({"clusterIP": "fd00::1"})), None);
        let service = make(json!({
            "clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"], "sessionAffinity": "ClientIP",
            "ports": [{"port": 443, "targetPort": "https", "nodePort": 30443}]
        }))
        .unwrap();
        assert_eq!(service.cluster_ips, [Ipv4Addr::new(10, 43, 0, 1)]);
        assert_eq!(service.affinity_secs, Some(10_800));
        assert_eq!(service.ports[0].node_port, Some(30_443));
    }

    #[test]
    fn conditions_have_their_defaults() {
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"}, "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.42.0.1"], "nodeName": "here"},
                {"addresses": ["10.42.1.1"], "nodeName": "there", "conditions": {"ready": false, "serving": true, "terminating": true}}
            ],
            "ports": [{"name": "web", "port": 8080}]
        });
        let mut found = Vec::new();
        endpoints(&Obj::from_value(object).unwrap(), "here", &mut found);
        let (first, second) = (found[0].1, found[1].1);
        assert_eq!(found[0].0, ("web".to_owned(), Transport::Tcp));
        assert!(first.ready && first.serving && !first.terminating && first.local);
        assert!(!second.ready && second.serving && second.terminating && !second.local);
    }

    #[test]
    fn unreadable_source_ranges_let_nobody_in() {
        let object = json!({"metadata": {"name": "s"}, "spec": {
            "clusterIP": "10.43.0.1", "loadBalancerSourceRanges": ["fd00::/8"]}});
        let service = service(&Obj::from_value(object).unwrap()).unwrap();
        assert_eq!(service.source_ranges, ["0.0.0.0/32".parse().unwrap()]);
    }
}
