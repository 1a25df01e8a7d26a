//! Node ports: those asked for, and those given.

use std::collections::{HashMap, HashSet};

use k3s_base::error::Sentence;
use k3s_meta::{Path, Status, field, tree};
use serde_json::Value;

use super::Allocation;

/// Random tries before the range is searched in order.
const RANDOM_TRIES: usize = 32;
const NODE_PORT: &str = "nodePort";

/// The node ports a service holds.
pub(super) fn held(service: &Value) -> HashSet<u16> {
    let ports = tree::list(service, "spec.ports")
        .iter()
        .filter_map(node_port);
    ports.chain(health_check(service)).collect()
}

/// Makes node ports complete where the type has them.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    if matches!(
        tree::text(service, "spec.type"),
        "NodePort" | "LoadBalancer"
    ) {
        let gives = gives_node_ports(service);
        match old {
            None => all(allocation, service, gives),
            Some(old) => changed(allocation, service, &held(old), gives),
        }
    }
    let has_port = old.is_some_and(needs_health_check);
    if !allocation.has_failed() && needs_health_check(service) && !has_port {
        assign_health_check(allocation, service);
    }
}

fn path_of(index: usize) -> Path {
    Path::new("spec")
        .child("ports")
        .index(index)
        .child("nodePort")
}

/// Node ports of a new service: ports of one number, of several protocols, share one (`initNodePorts`).
fn all(allocation: &mut Allocation<'_>, service: &mut Value, gives: bool) {
    let requested = asked_by_number(service);
    let mut shared: HashMap<i64, u16> = HashMap::new();
    for (index, port) in tree::each_mut(service, "spec.ports").enumerate() {
        let own = asked(port);
        if own.is_none() && !gives {
            continue;
        }
        let number = tree::int(port, "port").unwrap_or(0);
        let path = path_of(index);
        let got = match (shared.get(&number), own) {
            (Some(found), None) => Some(*found),
            (Some(found), Some(own)) if own == i64::from(*found) => Some(*found),
            (Some(_), Some(own)) => claim(allocation, own, &path),
            (None, _) => match requested.get(&number) {
                Some(wanted) => claim(allocation, *wanted, &path),
                None => pick(allocation, NODE_PORT),
            },
        };
        let Some(got) = got else {
            return;
        };
        shared.entry(number).or_insert(got);
        tree::set(port, "nodePort", got);
    }
}

/// The first node port that was asked for, by the number of the port.
fn asked_by_number(service: &Value) -> HashMap<i64, i64> {
    let ports = tree::list(service, "spec.ports").iter().rev();
    ports
        .filter_map(|port| Some((tree::int(port, "port").unwrap_or(0), asked(port)?)))
        .collect()
}

/// Node ports of a service that has some: those are its own (`updateNodePorts`).
fn changed(allocation: &mut Allocation<'_>, service: &mut Value, kept: &HashSet<u16>, gives: bool) {
    let mut own: HashSet<u16> = HashSet::new();
    for (index, port) in tree::each_mut(service, "spec.ports").enumerate() {
        let path = path_of(index);
        let got = match asked(port) {
            Some(asked) => match u16::try_from(asked) {
                // Two protocols of one service may share a port.
                Ok(port) if own.contains(&port) || kept.contains(&port) => Some(port),
                _ => claim(allocation, asked, &path),
            },
            None if gives => pick(allocation, NODE_PORT),
            None => continue,
        };
        let Some(got) = got else {
            return;
        };
        own.insert(got);
        tree::set(port, "nodePort", got);
    }
}

/// The port for health checks. That it cannot be had is a failure of the server to upstream.
fn assign_health_check(allocation: &mut Allocation<'_>, service: &mut Value) {
    let at = "spec.healthCheckNodePort";
    let asked = tree::int(service, at).filter(|asked| *asked != 0);
    let got = match asked {
        Some(asked) => match take(allocation, asked) {
            Ok(got) => Some(got),
            Err(why) => {
                let text =
                    format!("failed to allocate requested HealthCheck NodePort {asked}: {why}");
                allocation.failure = Some(Status::internal(&text));
                None
            }
        },
        None => pick(allocation, "HealthCheck NodePort 0"),
    };
    if let Some(got) = got {
        tree::set(service, at, got);
    }
}

fn gives_node_ports(service: &Value) -> bool {
    match tree::text(service, "spec.type") {
        "NodePort" => true,
        "LoadBalancer" => tree::get(service, "spec.allocateLoadBalancerNodePorts")
            .and_then(Value::as_bool)
            .unwrap_or(true),
        _ => false,
    }
}

fn needs_health_check(service: &Value) -> bool {
    tree::text(service, "spec.type") == "LoadBalancer"
        && tree::text(service, "spec.externalTrafficPolicy") == "Local"
}

/// The node port that was asked for, whether there is such a port or not.
fn asked(port: &Value) -> Option<i64> {
    tree::int(port, "nodePort").filter(|number| *number != 0)
}

fn node_port(port: &Value) -> Option<u16> {
    asked(port).and_then(|port| u16::try_from(port).ok())
}

fn health_check(service: &Value) -> Option<u16> {
    let port = tree::int(service, "spec.healthCheckNodePort")?;
    u16::try_from(port).ok().filter(|port| *port > 0)
}

fn claim(allocation: &mut Allocation<'_>, port: i64, path: &Path) -> Option<u16> {
    match take(allocation, port) {
        Ok(port) => Some(port),
        Err(why) => {
            let error = field::invalid(path, port, why.to_string());
            allocation.errors.push(error);
            None
        }
    }
}

fn take(allocation: &mut Allocation<'_>, port: i64) -> Result<u16, Sentence> {
    let range = &allocation.settings.node_ports;
    let inside = u16::try_from(port).ok().filter(|port| range.contains(port));
    let Some(port) = inside else {
        let (first, last) = (range.start(), range.end());
        let text = format!(
            "provided port is not in the valid range. The range of valid ports is {first}-{last}"
        );
        return Err(text.into());
    };
    if allocation.claim.port(port) {
        Ok(port)
    } else {
        Err("provided port is already allocated".into())
    }
}

/// A free port for `what`. That there is none is a failure of the server to upstream.
fn pick(allocation: &mut Allocation<'_>, what: &str) -> Option<u16> {
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
        let text = format!("failed to allocate a {what}: range is full");
        allocation.failure = Some(Status::internal(&text));
    }
    found
}
