//! `kubectl get services`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Type", "type determines how the Service is exposed. Defaults to ClusterIP. Valid options are ExternalName, ClusterIP, NodePort, and LoadBalancer. More info: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types"),
    Column::text("Cluster-IP", "clusterIP is the IP address of the service and is usually assigned randomly. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies"),
    Column::text("External-IP", "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.  These IPs are not managed by Kubernetes.  The user is responsible for ensuring that traffic arrives at a node with this IP.  A common example is external load-balancers that are not part of the Kubernetes system."),
    Column::text("Port(s)", "The list of ports that are exposed by this service. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies"),
    Column::AGE,
    Column::text("Selector", "Route service traffic to pods with label keys and values matching this selector. If empty or not present, the service is assumed to have an external process managing its endpoints, which Kubernetes will not modify. Only applies to types ClusterIP, NodePort, and LoadBalancer. Ignored if type is ExternalName. More info: https://kubernetes.io/docs/concepts/services-networking/service/").wide(),
];

pub(super) fn cells(service: &Value, now: Timestamp) -> Vec<Value> {
    let cluster_ip = tree::texts(service, "spec.clusterIPs")
        .first()
        .copied()
        .unwrap_or(print::NONE);
    let ports = tree::list(service, "spec.ports")
        .iter()
        .map(port)
        .collect::<Vec<_>>()
        .join(",");
    vec![
        print::name(service),
        tree::text(service, "spec.type").into(),
        cluster_ip.into(),
        external(service).into(),
        print::or_none(&ports),
        print::age(service, now),
        print::labels(tree::map(service, "spec.selector")).into(),
    ]
}

fn external(service: &Value) -> String {
    let mut addresses = tree::texts(service, "spec.externalIPs");
    match tree::text(service, "spec.type") {
        "ClusterIP" | "NodePort" if addresses.is_empty() => print::NONE.to_owned(),
        "ClusterIP" | "NodePort" => addresses.join(","),
        "LoadBalancer" => {
            let balancer = print::load_balancer(service);
            if !balancer.is_empty() {
                addresses.insert(0, &balancer);
            }
            if addresses.is_empty() {
                "<pending>".to_owned()
            } else {
                addresses.join(",")
            }
        }
        "ExternalName" => tree::text(service, "spec.externalName").to_owned(),
        _ => print::UNKNOWN.to_owned(),
    }
}

fn port(port: &Value) -> String {
    let (number, protocol) = (
        tree::int(port, "port").unwrap_or(0),
        tree::text(port, "protocol"),
    );
    match tree::int(port, "nodePort").unwrap_or(0) {
        0 => format!("{number}/{protocol}"),
        node_port => format!("{number}:{node_port}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_show_ports_and_addresses() {
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut service = json!({"metadata": {"name": "web", "creationTimestamp": "2026-01-02T03:03:05Z"},
            "spec": {"type": "NodePort", "clusterIPs": ["10.43.0.1"], "selector": {"app": "web"},
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}});
        let row = |service: &Value| {
            cells(service, now)
                .iter()
                .map(|cell| cell.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            row(&service),
            [
                "web",
                "NodePort",
                "10.43.0.1",
                "<none>",
                "80:30080/TCP,53/UDP",
                "60s",
                "app=web"
            ]
        );
        tree::set(&mut service, "spec.type", "LoadBalancer");
        assert_eq!(row(&service)[3], "<pending>");
        tree::set(
            &mut service,
            "status.loadBalancer.ingress",
            json!([{"ip": "192.0.2.2"}, {"ip": "192.0.2.1"}]),
        );
        assert_eq!(row(&service)[3], "192.0.2.1,192.0.2.2");
    }
}
