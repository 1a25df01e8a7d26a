//! From the views of Services and EndpointSlices to the proxy's model.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use k3s_client::Obj;
use k3s_objects::{EndpointSlice, endpoint_slice, service};
use serde::de::DeserializeOwned;

use crate::model::{Endpoint, Service, ServicePort, Transport};

/// A Service with it is served by another proxy.
const PROXY_NAME_LABEL: &str = "service.kubernetes.io/service-proxy-name";
const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// The Service, unless there is nothing to forward: it is headless, an alias, has no IPv4 address, or
/// belongs to another proxy.
pub(crate) fn service(object: &Obj) -> Option<Service> {
    if object.label(PROXY_NAME_LABEL).is_some() || object.label(HEADLESS_LABEL).is_some() {
        return None;
    }
    let view: &k3s_objects::Service = typed(object)?;
    let spec = &view.spec;
    let cluster_ips: Vec<Ipv4Addr> = spec
        .cluster_addresses()
        .into_iter()
        .filter_map(ipv4)
        .collect();
    if spec.is_external_name() || cluster_ips.is_empty() {
        return None;
    }
    let is_balancer = spec.kind == "LoadBalancer";
    let health_check_port = spec.health_check_node_port;
    Some(Service {
        created: object.meta().creation_timestamp.clone(),
        external_ips: addresses(&spec.external_ips),
        load_balancer_ips: if is_balancer {
            load_balancer_ips(&view.status)
        } else {
            Vec::new()
        },
        source_ranges: source_ranges(object, &spec.load_balancer_source_ranges),
        ports: spec.ports.iter().filter_map(port).collect(),
        affinity_secs: spec.affinity_secs(),
        internal_local: spec.internal_traffic_policy == "Local",
        external_local: spec.external_traffic_policy == "Local",
        is_balancer,
        health_check_port: Some(health_check_port).filter(|port| is_balancer && *port != 0),
        cluster_ips,
    })
}

/// The IPv4 addresses of a node.
pub(crate) fn node_addresses(object: &Obj) -> Vec<Ipv4Addr> {
    let node = typed::<k3s_objects::Node>(object);
    let addresses = node.map(|node| node.status.addresses.as_slice());
    let addresses = addresses.unwrap_or_default().iter();
    addresses
        .filter_map(|address| address.address.parse().ok())
        .collect()
}

/// The endpoints that a slice has for a port of this name and transport, added to `into`.
pub(crate) fn endpoints(object: &Obj, node: &str, into: &mut Vec<((String, Transport), Endpoint)>) {
    let Some(slice) = typed::<EndpointSlice>(object) else {
        return;
    };
    if slice.address_type != "IPv4" {
        return;
    }
    for port in &slice.ports {
        let transport = Transport::parse(&port.protocol);
        let (Some(number), Some(transport)) = (port.port, transport) else {
            continue;
        };
        let read = slice
            .endpoints
            .iter()
            .filter_map(|e| endpoint(e, number, node));
        into.extend(read.map(|endpoint| ((port.name.clone(), transport), endpoint)));
    }
}

fn endpoint(view: &endpoint_slice::Endpoint, port: u16, node: &str) -> Option<Endpoint> {
    let conditions = &view.conditions;
    Some(Endpoint {
        address: view.addresses.first()?.parse().ok()?,
        port,
        ready: conditions.is_ready(),
        serving: conditions.is_serving(),
        terminating: conditions.is_terminating(),
        local: view.node_name.as_deref() == Some(node),
    })
}

fn port(view: &service::ServicePort) -> Option<ServicePort> {
    Some(ServicePort {
        name: view.name.clone(),
        transport: Transport::parse(&view.protocol)?,
        port: view.port,
        node_port: Some(view.node_port).filter(|port| *port != 0),
    })
}

/// Addresses in mode `Proxy` are served by the load balancer itself (KEP-1860).
fn load_balancer_ips(status: &service::ServiceStatus) -> Vec<Ipv4Addr> {
    let entries = status.load_balancer.ingress.iter();
    entries
        .filter(|entry| entry.ip_mode != "Proxy")
        .filter_map(|entry| entry.ip.parse().ok())
        .collect()
}

fn addresses(texts: &[String]) -> Vec<Ipv4Addr> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn ipv4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// A range that cannot be read must not open the Service to every client. If none can be read, no
/// client is let in.
fn source_ranges(object: &Obj, texts: &[String]) -> Vec<Ipv4Net> {
    let parsed = texts.iter().filter_map(|text| text.trim().parse().ok());
    let ranges: Vec<Ipv4Net> = parsed.collect();
    if ranges.len() < texts.len() {
        tracing::warn!(service = %object.key(), ?texts, "source ranges that are not IPv4 networks admit no client");
    }
    if ranges.is_empty() && !texts.is_empty() {
        vec![Ipv4Net::from(Ipv4Addr::UNSPECIFIED)]
    } else {
        ranges
    }
}

fn typed<T: DeserializeOwned + Send + Sync + 'static>(object: &Obj) -> Option<&T> {
    let view = object.typed::<T>();
    view.inspect_err(|error| {
        tracing::warn!(object = %object.key(), kind = object.kind(), error = %error.chain(), "object ignored: it cannot be read");
    })
    .ok()
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
