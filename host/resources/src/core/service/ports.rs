//! Node ports: those asked for, and those given.

use std::collections::HashSet;

use k3s_meta::{Path, field, tree};
use serde_json::Value;

use super::Allocation;

/// Random tries before the range is searched in order.
const RANDOM_TRIES: usize = 32;

/// The node ports a service holds.
pub(super) fn held(service: &Value) -> HashSet<u16> {
    let ports = tree::list(service, "spec.ports")
        .iter()
        .filter_map(node_port);
    ports.chain(health_check(service)).collect()
}

/// Makes node ports complete where the type has them.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    let kept = old.map(held).unwrap_or_default();
    let wants = wants_node_ports(service);
    let health = wants_health_check(service);
    let mut own: HashSet<u16> = HashSet::new();
    if let Some(ports) = service
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("ports"))
        .and_then(Value::as_array_mut)
    {
        for (index, port) in ports.iter_mut().enumerate() {
            let path = || {
                Path::new("spec")
                    .child("ports")
                    .index(index)
                    .child("nodePort")
            };
            match node_port(port) {
                // Two protocols of one service may share a port.
                Some(asked) if own.contains(&asked) || kept.contains(&asked) => {
                    own.insert(asked);
                }
                Some(asked) if wants => own.extend(claim(allocation, asked, &path())),
                None if wants => {
                    if let Some(given) = pick(allocation, &path()) {
                        own.insert(given);
                        tree::set(port, "nodePort", given);
                    }
                }
                _ => {}
            }
        }
    }
    if health {
        assign_health_check(allocation, service, &kept);
    }
}

fn assign_health_check(allocation: &mut Allocation<'_>, service: &mut Value, kept: &HashSet<u16>) {
    let path = Path::new("spec").child("healthCheckNodePort");
    match health_check(service) {
        Some(asked) if kept.contains(&asked) => {}
        Some(asked) => drop(claim(allocation, asked, &path)),
        None => {
            if let Some(given) = pick(allocation, &path) {
                tree::set(service, "spec.healthCheckNodePort", given);
            }
        }
    }
}

fn wants_node_ports(service: &Value) -> bool {
    match tree::text(service, "spec.type") {
        "NodePort" => true,
        "LoadBalancer" => tree::get(service, "spec.allocateLoadBalancerNodePorts")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        _ => false,
    }
}

fn wants_health_check(service: &Value) -> bool {
    tree::text(service, "spec.type") == "LoadBalancer"
        && tree::text(service, "spec.externalTrafficPolicy") == "Local"
}

fn node_port(port: &Value) -> Option<u16> {
    tree::int(port, "nodePort")
        .and_then(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
}

fn health_check(service: &Value) -> Option<u16> {
    let port = tree::int(service, "spec.healthCheckNodePort")?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn claim(allocation: &mut Allocation<'_>, port: u16, path: &Path) -> Option<u16> {
    let range = &allocation.settings.node_ports;
    let why = if !range.contains(&port) {
        format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        )
    } else if allocation.claim.port(port) {
        return Some(port);
    } else {
        "provided port is already allocated".to_owned()
    };
    allocation
        .errors
        .push(field::invalid(path, i64::from(port), why));
    None
}

fn pick(allocation: &mut Allocation<'_>, path: &Path) -> Option<u16> {
    let range = allocation.settings.node_ports.clone();
    let size = u64::from(range.end().saturating_sub(*range.start())).saturating_add(1);
    for _ in 0..RANDOM_TRIES {
        let offset = u16::try_from(allocation.random.below(size)).unwrap_or(0);
        let port = range.start().saturating_add(offset);
        if allocation.claim.port(port) {
            return Some(port);
        }
    }
    let found = range.clone().find(|port| allocation.claim.port(*port));
    if found.is_none() {
        allocation.errors.push(field::internal(
            path,
            "failed to allocate a nodePort: range is full",
        ));
    }
    found
}
