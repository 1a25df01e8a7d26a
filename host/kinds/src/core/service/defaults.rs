//! Defaults of services. Cluster IPs, families and node ports are the allocators' business.

use k3s_meta::tree;
use serde_json::{Value, json};

/// Three hours, `DefaultClientIPServiceAffinitySeconds`.
const AFFINITY_SECONDS: i64 = 10_800;

pub(super) fn default(service: &mut Value) {
    tree::set_missing(service, "status", json!({}));
    tree::set_missing(service, "status.loadBalancer", json!({}));
    tree::ensure(service, "spec");
    let Some(spec) = tree::get_mut(service, "spec") else {
        return;
    };
    affinity(spec);
    tree::set_zero(spec, "type", "ClusterIP");
    for port in tree::each_mut(spec, "ports") {
        tree::set_zero(port, "protocol", "TCP");
        if let Some(number) = tree::int(port, "port") {
            tree::set_zero(port, "targetPort", number);
        }
    }
    let kind = tree::text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer")
        || (kind == "ClusterIP" && tree::has(spec, "externalIPs"));
    if external {
        tree::set_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        tree::set_missing(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        tree::set_missing(spec, "allocateLoadBalancerNodePorts", true);
        for ingress in tree::each_mut(service, "status.loadBalancer.ingress") {
            if tree::has(ingress, "ip") {
                tree::set_missing(ingress, "ipMode", "VIP");
            }
        }
    }
}

fn affinity(spec: &mut Value) {
    tree::set_zero(spec, "sessionAffinity", "None");
    if tree::text(spec, "sessionAffinity") == "ClientIP" {
        tree::set_missing(
            spec,
            "sessionAffinityConfig.clientIP.timeoutSeconds",
            AFFINITY_SECONDS,
        );
    } else if tree::text(spec, "sessionAffinity") == "None" {
        tree::remove(spec, "sessionAffinityConfig");
    }
}
