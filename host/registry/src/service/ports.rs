//! Node ports: those asked for, and those given.

use std::collections::HashSet;

use k3s_meta::{Path, field, tree};
use serde_json::Value;

use super::Work;

/// Random tries before the range is gone through in order.
const RANDOM_TRIES: usize = 32;

/// The node ports a service holds.
pub(super) fn held(service: &Value) -> HashSet<u16> {
    let ports = tree::list(service, "spec.ports")
        .iter()
        .filter_map(node_port);
    ports.chain(health_check(service)).collect()
}

/// An update that leaves node ports out keeps them, for ports of the same number and protocol; one
/// to a type without node ports drops those it merely repeats.
pub(super) fn carry_over(new: &mut Value, old: &Value) {
    let keeps = wants_node_ports(new);
    let before = tree::list(old, "spec.ports").to_vec();
    let Some(ports) = new
        .get_mut("spec")
        .and_then(|spec| spec.get_mut("ports"))
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    for port in ports {
        let same = before
            .iter()
            .find(|other| identity(other) == identity(port));
        let kept = same.and_then(node_port);
        match (keeps, node_port(port), kept) {
            (true, None, Some(kept)) => tree::set(port, "nodePort", kept),
            (false, Some(repeated), Some(kept)) if repeated == kept => {
                drop(tree::remove(port, "nodePort"))
            }
            _ => {}
        }
    }
    let field = "spec.healthCheckNodePort";
    match (
        wants_health_check(new),
        health_check(new),
        health_check(old),
    ) {
        (true, None, Some(kept)) => tree::set(new, field, kept),
        (false, Some(repeated), Some(kept)) if repeated == kept => drop(tree::remove(new, field)),
        _ => {}
    }
}

/// Makes node ports complete where the type has them.
pub(super) fn assign(work: &mut Work<'_>, service: &mut Value, old: Option<&Value>) {
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
                Some(asked) if wants => {
                    own.extend(claim(work, asked, &path()));
                }
                None if wants => {
                    if let Some(given) = pick(work, &path()) {
                        own.insert(given);
                        tree::set(port, "nodePort", given);
                    }
                }
                _ => {}
            }
        }
    }
    if health {
        assign_health_check(work, service, &kept);
    }
}

fn assign_health_check(work: &mut Work<'_>, service: &mut Value, kept: &HashSet<u16>) {
    let path = Path::new("spec").child("healthCheckNodePort");
    match health_check(service) {
        Some(asked) if kept.contains(&asked) => {}
        Some(asked) => drop(claim(work, asked, &path)),
        None => {
            if let Some(given) = pick(work, &path) {
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

fn identity(port: &Value) -> (Option<i64>, &str) {
    (tree::int(port, "port"), tree::text(port, "protocol"))
}

fn claim(work: &mut Work<'_>, port: u16, path: &Path) -> Option<u16> {
    let range = &work.settings.node_ports;
    let why = if !range.contains(&port) {
        format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        )
    } else if work.claim.port(port) {
        return Some(port);
    } else {
        "provided port is already allocated".to_owned()
    };
    work.errors.push(field::invalid(path, i64::from(port), why));
    None
}

fn pick(work: &mut Work<'_>, path: &Path) -> Option<u16> {
    let range = work.settings.node_ports.clone();
    let size = u64::from(range.end().saturating_sub(*range.start())).saturating_add(1);
    for _ in 0..RANDOM_TRIES {
        let offset = u16::try_from(work.random.below(size)).unwrap_or(0);
        let port = range.start().saturating_add(offset);
        if work.claim.port(port) {
            return Some(port);
        }
    }
    let found = range.clone().find(|port| work.claim.port(*port));
    if found.is_none() {
        work.errors.push(field::internal(
            path,
            "failed to allocate a nodePort: range is full",
        ));
    }
    found
}
