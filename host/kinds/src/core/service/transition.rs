//! What an update of a service keeps of what was allocated to it.
//!
//! A client that applies its manifest again leaves allocated fields out; they stay. A change of
//! type gives up what the new type has no use for, unless the client set it in the same request
//! (`patchAllocatedValues` and `dropTypeDependentFields` of `pkg/registry/core/service`).

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;
use crate::equality::semantic_eq;

/// Carries allocations over and drops those that the new type does not use.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    keep_cluster_ips(new, old);
    keep_node_ports(new, old);
    drop_unused(new, old);
}

fn kind(service: &Value) -> &str {
    tree::text(service, "spec.type")
}

fn needs_cluster_ip(service: &Value) -> bool {
    matches!(kind(service), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn needs_node_port(service: &Value) -> bool {
    kind(service) == "NodePort"
        || (kind(service) == "LoadBalancer"
            && tree::get(service, "spec.allocateLoadBalancerNodePorts")
                .is_none_or(|it| it == &Value::Bool(true)))
}

fn needs_health_check_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && tree::text(service, "spec.externalTrafficPolicy") == "Local"
}

fn same(new: &Value, old: &Value, path: &str) -> bool {
    semantic_eq(tree::get(new, path), tree::get(old, path))
}

fn keep_cluster_ips(new: &mut Value, old: &Value) {
    if !needs_cluster_ip(new) || !needs_cluster_ip(old) {
        return;
    }
    // Clearing one of the two spellings means clearing both only when the other follows suit.
    if !tree::has(new, "spec.clusterIP") && !tree::has(new, "spec.clusterIPs") {
        tree::copy(new, old, "spec.clusterIP");
        tree::copy(new, old, "spec.clusterIPs");
    } else if !tree::has(new, "spec.clusterIPs") && same(new, old, "spec.clusterIP") {
        tree::copy(new, old, "spec.clusterIPs");
    } else if !tree::has(new, "spec.clusterIP") && same(new, old, "spec.clusterIPs") {
        tree::copy(new, old, "spec.clusterIP");
    }
    for path in ["spec.ipFamilies", "spec.ipFamilyPolicy"] {
        if !tree::has(new, path) {
            tree::copy(new, old, path);
        }
    }
}

fn keep_node_ports(new: &mut Value, old: &Value) {
    if needs_node_port(new) && needs_node_port(old) {
        let mut taken: Vec<(String, i64)> = tree::list(new, "spec.ports")
            .iter()
            .filter_map(|port| Some((protocol(port), node_port(port)?)))
            .collect();
        for port in tree::each_mut(new, "spec.ports") {
            let before = tree::list(old, "spec.ports").iter().find(|other| {
                protocol(other) == protocol(port)
                    && tree::int(other, "port") == tree::int(port, "port")
            });
            let Some(number) = before.and_then(node_port) else {
                continue;
            };
            let wanted = (protocol(port), number);
            if node_port(port).is_none() && !taken.contains(&wanted) {
                tree::set(port, "nodePort", number);
                taken.push(wanted);
            }
        }
    }
    if needs_health_check_port(new)
        && needs_health_check_port(old)
        && !tree::has(new, "spec.healthCheckNodePort")
    {
        tree::copy(new, old, "spec.healthCheckNodePort");
    }
}

fn drop_unused(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old)
        && !needs_cluster_ip(new)
        && same(new, old, "spec.clusterIP")
        && same(new, old, "spec.clusterIPs")
    {
        for path in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            tree::remove(new, &format!("spec.{path}"));
        }
    }
    if needs_node_port(old) && !needs_node_port(new) && same_node_ports(new, old) {
        for port in tree::each_mut(new, "spec.ports") {
            tree::remove(port, "nodePort");
        }
    }
    if needs_health_check_port(old)
        && !needs_health_check_port(new)
        && same(new, old, "spec.healthCheckNodePort")
    {
        tree::remove(new, "spec.healthCheckNodePort");
    }
    if kind(old) == "LoadBalancer" && kind(new) != "LoadBalancer" {
        for path in [
            "spec.allocateLoadBalancerNodePorts",
            "spec.loadBalancerClass",
        ] {
            if same(new, old, path) {
                tree::remove(new, path);
            }
        }
    }
    let external = |service: &Value| {
        matches!(kind(service), "NodePort" | "LoadBalancer")
            || tree::has(service, "spec.externalIPs")
    };
    if external(old) && !external(new) && same(new, old, "spec.externalTrafficPolicy") {
        tree::remove(new, "spec.externalTrafficPolicy");
    }
}

fn same_node_ports(new: &Value, old: &Value) -> bool {
    let ports = |service| -> Vec<i64> {
        let mut ports: Vec<i64> = tree::list(service, "spec.ports")
            .iter()
            .filter_map(node_port)
            .collect();
        ports.sort_unstable();
        ports
    };
    ports(new) == ports(old)
}

fn protocol(port: &Value) -> String {
    tree::text(port, "protocol").to_owned()
}

fn node_port(port: &Value) -> Option<i64> {
    tree::int(port, "nodePort").filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;
    use serde_json::json;

    use super::*;

    #[test]
    fn applying_again_keeps_allocations() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new =
            json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        let user = UserInfo::default();
        prepare_update(&mut new, &old, &Context::at_epoch(&user));
        assert_eq!(new, old);
    }

    #[test]
    fn a_change_of_type_gives_node_ports_up() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.43.0.9", "externalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}});
        let mut new = old.clone();
        tree::set(&mut new, "spec.type", "ClusterIP");
        let user = UserInfo::default();
        prepare_update(&mut new, &old, &Context::at_epoch(&user));
        assert_eq!(
            new,
            json!({"spec": {"type": "ClusterIP", "clusterIP": "10.43.0.9",
            "ports": [{"port": 80, "protocol": "TCP"}]}})
        );
    }
}
