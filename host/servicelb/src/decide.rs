//! What to write to a Service. Pure.

use k3s_meta::tree;
use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::model::{Assignment, Ingress, Problem};

/// Keeps a Service until its load balancer is gone (`k8s.io/cloud-provider`, `service/helpers`).
pub(crate) const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// `LoadBalancerPortsError` of `core/v1`: ports that cannot be had.
const PORTS_ERROR: &str = "LoadBalancerPortsError";
/// The reason of a problem that is that condition too.
const PORT_CONFLICT: &str = "PortConflict";

/// One write. Writes are done in order, and the Service is read again after each.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// The list of finalizers.
    Finalizers(Vec<String>),
    /// Merged into the status.
    Status(Value),
}

/// The next write, if there is one. `assignment` is none for what the load balancer does not know.
pub(crate) fn next(service: &Value, assignment: Option<&Assignment>, now: &str) -> Option<Step> {
    let deleting = text(service, "metadata.deletionTimestamp").is_some();
    let is_balancer = text(service, "spec.type") == Some("LoadBalancer");
    let claimed = assignment.filter(|a| a.claimed && is_balancer);
    match claimed {
        Some(assignment) if deleting => {
            if assignment.forwards.is_empty() {
                without_finalizer(service)
            } else {
                None
            }
        }
        Some(assignment) => with_finalizer(service).or_else(|| status(service, assignment, now)),
        // It was one once, maybe another's: who wrote its status also wrote its finalizer. While there is an
        // assignment, nodes still answer.
        None if !is_balancer && assignment.is_none() && has_finalizer(service) => {
            let empty = (!deleting).then(|| cleared(service)).flatten();
            empty.or_else(|| without_finalizer(service))
        }
        None => None,
    }
}

/// The next write to take back what was written for a load balancer that no longer exists. Only
/// Services whose addresses are all nodes' are touched: others are served by another controller.
pub(crate) fn release(service: &Value, nodes: &BTreeSet<IpAddr>) -> Option<Step> {
    let has_class = text(service, "spec.loadBalancerClass").is_some();
    let shown = ingress(service);
    let ours = shown.iter().all(|entry| {
        let ip = entry
            .get("ip")
            .and_then(Value::as_str)
            .and_then(|ip| ip.parse().ok());
        ip.is_some_and(|ip| nodes.contains(&ip))
    });
    if text(service, "spec.type") != Some("LoadBalancer") || has_class || !ours {
        return None;
    }
    cleared(service).or_else(|| without_finalizer(service))
}

/// An empty status, unless it is.
fn cleared(service: &Value) -> Option<Step> {
    let conditions = conditions(service, &[], "");
    if ingress(service).is_empty() && conditions.is_none() {
        return None;
    }
    let mut status = json!({"loadBalancer": {"ingress": null}});
    put(&mut status, "conditions", conditions);
    Some(Step::Status(status))
}

fn status(service: &Value, assignment: &Assignment, now: &str) -> Option<Step> {
    let wanted: Vec<Value> = assignment.ingress.iter().map(shown).collect();
    let mut status = json!({});
    let same = ingress(service) == wanted;
    put(
        &mut status,
        "loadBalancer",
        (!same).then(
            || json!({"ingress": if wanted.is_empty() { Value::Null } else { wanted.into() }}),
        ),
    );
    put(
        &mut status,
        "conditions",
        conditions(service, &assignment.problems, now),
    );
    status
        .as_object()
        .is_some_and(|map| !map.is_empty())
        .then_some(Step::Status(status))
}

fn shown(ingress: &Ingress) -> Value {
    json!({"ip": ingress.ip.to_string(), "ipMode": if ingress.proxy { "Proxy" } else { "VIP" }})
}

fn ingress(service: &Value) -> &[Value] {
    tree::list(service, "status.loadBalancer.ingress")
}

/// The whole list of conditions, if ours has to change. Others' stay.
fn conditions(service: &Value, problems: &[Problem], now: &str) -> Option<Value> {
    let list = tree::list(service, "status.conditions").to_vec();
    let (ours, others): (Vec<Value>, Vec<Value>) = list
        .into_iter()
        .partition(|c| field(c, "type") == PORTS_ERROR);
    let conflicts: Vec<&str> = problems
        .iter()
        .filter(|p| p.reason == PORT_CONFLICT)
        .map(|p| p.message.as_str())
        .collect();
    let message = conflicts.join("; ");
    let old = ours.first();
    if message.is_empty() {
        return old.map(|_| others.into());
    }
    if old.is_some_and(|c| field(c, "status") == "True" && field(c, "message") == message) {
        return None;
    }
    let since = old
        .filter(|c| field(c, "status") == "True")
        .map_or(now, |c| field(c, "lastTransitionTime"));
    let ours = json!({"type": PORTS_ERROR, "status": "True", "reason": PORT_CONFLICT, "message": message,
        "lastTransitionTime": since});
    Some(others.into_iter().chain([ours]).collect())
}

fn put(into: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(map), Some(value)) = (into.as_object_mut(), value) {
        map.insert(name.to_owned(), value);
    }
}

fn with_finalizer(service: &Value) -> Option<Step> {
    if has_finalizer(service) {
        return None;
    }
    Some(Step::Finalizers(
        finalizers(service)
            .chain([FINALIZER])
            .map(str::to_owned)
            .collect(),
    ))
}

fn without_finalizer(service: &Value) -> Option<Step> {
    let others = finalizers(service)
        .filter(|f| *f != FINALIZER)
        .map(str::to_owned)
        .collect();
    has_finalizer(service).then_some(Step::Finalizers(others))
}

fn has_finalizer(service: &Value) -> bool {
    finalizers(service).any(|f| f == FINALIZER)
}

fn finalizers(service: &Value) -> impl Iterator<Item = &str> {
    let list = tree::list(service, "metadata.finalizers");
    list.iter().filter_map(Value::as_str)
}

fn text<'a>(service: &'a Value, path: &str) -> Option<&'a str> {
    Some(tree::text(service, path)).filter(|text| !text.is_empty())
}

fn field<'a>(condition: &'a Value, name: &str) -> &'a str {
    condition
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
