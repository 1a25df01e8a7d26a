//! What an update of a service keeps of what was allocated to it.
//!
//! A client that applies its manifest again leaves allocated fields out; they stay. A change of
//! type gives up what the new type has no use for, unless the client set it in the same request
//! (`patchAllocatedValues` and `dropTypeDependentFields` of `pkg/registry/core/service`).

use k3s_meta::tree;
use serde_json::{Value, json};

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
    kind(service) != "ExternalName"
}

fn has_node_ports(service: &Value) -> bool {
    matches!(kind(service), "NodePort" | "LoadBalancer")
}

/// Whether the service is given node ports, which a load balancer may do without.
fn needs_node_ports(service: &Value) -> bool {
    let choice = tree::get(service, "spec.allocateLoadBalancerNodePorts");
    kind(service) == "NodePort"
        || (kind(service) == "LoadBalancer" && choice != Some(&Value::Bool(false)))
}

fn needs_health_check_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && tree::text(service, "spec.externalTrafficPolicy") == "Local"
}

fn is_external(service: &Value) -> bool {
    has_node_ports(service)
        || (kind(service) == "ClusterIP" && tree::has(service, "spec.externalIPs"))
}

fn same(new: &Value, old: &Value, path: &str) -> bool {
    semantic_eq(tree::get(new, path), tree::get(old, path))
}

/// Fills in what the client left out, and makes both spellings follow the one that it changed
/// (`patchAllocatedValues`, `normalizeClusterIPs`).
fn keep_cluster_ips(new: &mut Value, old: &Value) {
    let [one, all] = ["spec.clusterIP", "spec.clusterIPs"];
    if needs_cluster_ip(new) && needs_cluster_ip(old) {
        for path in [one, all] {
            if !tree::has(new, path) {
                tree::copy(new, old, path);
            }
        }
    }
    let same_one = tree::text(new, one) == tree::text(old, one);
    if same_one {
        if !tree::has(new, all) && tree::has(old, all) {
            tree::copy(new, old, all);
        }
    } else if same(new, old, all) {
        let primary = tree::text(new, one).to_owned();
        if primary.is_empty() {
            tree::remove(new, all);
        } else {
            tree::set(new, all, vec![primary]);
        }
    }
}

/// A port keeps the number on nodes that it had under its name.
fn keep_node_ports(new: &mut Value, old: &Value) {
    if needs_node_ports(new) && needs_node_ports(old) {
        let [after, before] = [&*new, old].map(numbers);
        let used: Vec<i64> = before.into_iter().filter(|it| after.contains(it)).collect();
        for port in tree::each_mut(new, "spec.ports") {
            let mut all = tree::list(old, "spec.ports").iter().rev();
            let same_name = |other: &&Value| tree::text(other, "name") == tree::text(port, "name");
            let kept = all.find(same_name).and_then(node_port);
            let kept = kept.filter(|number| !used.contains(number));
            if let (None, Some(number)) = (node_port(port), kept) {
                tree::set(port, "nodePort", number);
            }
        }
    }
    let health = "spec.healthCheckNodePort";
    let both = needs_health_check_port(new) && needs_health_check_port(old);
    if both && tree::int(new, health).unwrap_or(0) == 0 {
        tree::copy(new, old, health);
    }
}

fn drop_unused(new: &mut Value, old: &Value) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) {
        let both = ["spec.clusterIP", "spec.clusterIPs"];
        if both.iter().all(|path| same(new, old, path)) {
            for path in both {
                tree::remove(new, path);
            }
        }
        for path in ["spec.ipFamilies", "spec.ipFamilyPolicy"] {
            remove_same(new, old, path);
        }
    }
    if has_node_ports(old) && !has_node_ports(new) {
        let kept = numbers(old);
        if numbers(new).iter().all(|number| kept.contains(number)) {
            for port in tree::each_mut(new, "spec.ports") {
                tree::remove(port, "nodePort");
            }
        }
    }
    if needs_health_check_port(old) && !needs_health_check_port(new) {
        remove_same(new, old, "spec.healthCheckNodePort");
    }
    if kind(old) == "LoadBalancer" && kind(new) != "LoadBalancer" {
        remove_same(new, old, "spec.allocateLoadBalancerNodePorts");
        remove_same(new, old, "spec.loadBalancerClass");
    }
    if is_external(old) && !is_external(new) {
        remove_same(new, old, "spec.externalTrafficPolicy");
    }
    if kind(new) != "LoadBalancer" {
        tree::set(new, "status.loadBalancer", json!({}));
    }
}

/// Removes what the client did not change.
fn remove_same(new: &mut Value, old: &Value, path: &str) {
    if same(new, old, path) {
        tree::remove(new, path);
    }
}

fn numbers(service: &Value) -> Vec<i64> {
    let ports = tree::list(service, "spec.ports").iter();
    ports.filter_map(node_port).collect()
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
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30080}]}, "status": {"loadBalancer": {}}});
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
                "ports": [{"port": 80, "protocol": "TCP"}]}, "status": {"loadBalancer": {}}})
        );
    }
}
