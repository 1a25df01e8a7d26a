//! Pure: which Pods to make and which to delete.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k3s_client::Object;

use super::model::HASH_LABEL;
use super::nodes::Fit;
use crate::common::pod::{self, Availability};

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a Pod.
    pub(super) create: Vec<String>,
    pub(super) delete: Vec<Object>,
    /// Of these, ended ones: their nodes get a new Pod after a back-off.
    pub(super) failed: Vec<Object>,
}

/// Nodes and Pods at one moment.
pub(super) struct Observed<'a> {
    pub(super) nodes: &'a [(Object, Fit)],
    pub(super) pods: &'a BTreeMap<String, Vec<Object>>,
    /// The present template's hash.
    pub(super) hash: &'a str,
    pub(super) min_ready_seconds: i64,
    pub(super) now: Timestamp,
}

impl Observed<'_> {
    fn on(&self, node: &str) -> impl Iterator<Item = &Object> {
        self.pods.get(node).into_iter().flatten()
    }

    fn is_new(&self, pod: &Object) -> bool {
        pod.label(HASH_LABEL) == Some(self.hash)
    }

    fn is_available(&self, object: &Object) -> bool {
        pod::availability(pod::of(object), self.min_ready_seconds, self.now) == Availability::Yes
    }
}

/// One Pod per node that fits, none elsewhere. `surging`: a rolling update may hold two at once.
pub(super) fn place(observed: &Observed<'_>, surging: bool) -> Plan {
    let mut plan = Plan::default();
    for (node, fit) in observed.nodes {
        let there: Vec<&Object> = observed.on(node.name()).collect();
        if fit.run && there.is_empty() {
            plan.create.push(node.name().to_owned());
        } else if fit.stay {
            stay(observed, &there, surging, &mut plan);
        } else {
            plan.delete
                .extend(there.into_iter().filter(|o| !o.is_deleting()).cloned());
        }
    }
    let known: BTreeSet<&str> = observed.nodes.iter().map(|(node, _)| node.name()).collect();
    for (node, pods) in observed.pods {
        // Bound Pods of a node that is gone are the Pod collector's.
        let unbound = pods.iter().filter(|o| {
            !known.contains(node.as_str()) && !pod::of(o).is_scheduled() && !o.is_deleting()
        });
        plan.delete.extend(unbound.cloned());
    }
    plan
}

fn stay(observed: &Observed<'_>, there: &[&Object], surging: bool, plan: &mut Plan) {
    let mut running: Vec<&Object> = Vec::new();
    for &object in there.iter().filter(|o| !o.is_deleting()) {
        if pod::of(object).is_terminal() {
            plan.delete.push(object.clone());
            plan.failed.push(object.clone());
        } else {
            running.push(object);
        }
    }
    if !surging {
        plan.delete.extend(running.into_iter().skip(1).cloned());
        return;
    }
    // The oldest of each template stays; the update decides between the two.
    let new = running.iter().filter(|o| observed.is_new(o)).skip(1);
    let old = running.iter().filter(|o| !observed.is_new(o)).skip(1);
    plan.delete.extend(new.chain(old).map(|o| (*o).clone()));
}

/// One step of a rolling update.
pub(super) fn roll(observed: &Observed<'_>, surge: usize, unavailable: usize) -> Plan {
    if surge == 0 {
        replace(observed, unavailable)
    } else {
        overlap(observed, surge)
    }
}

/// Old Pods go, and the next pass puts new ones in their place.
fn replace(observed: &Observed<'_>, max_unavailable: usize) -> Plan {
    let (mut missing, mut broken, mut candidates) = (0, Vec::new(), Vec::new());
    for (node, _) in observed.nodes.iter().filter(|(_, fit)| fit.run) {
        let there: Vec<&Object> = observed
            .on(node.name())
            .filter(|o| !o.is_deleting())
            .collect();
        let old = there.iter().find(|o| !observed.is_new(o));
        match old {
            Some(old) if !observed.is_available(old) => {
                missing += 1;
                broken.push((*old).clone());
            }
            Some(old) => candidates.push((*old).clone()),
            None => missing += usize::from(!there.iter().any(|o| observed.is_available(o))),
        }
    }
    let room = max_unavailable.saturating_sub(missing);
    broken.extend(candidates.into_iter().take(room));
    Plan {
        delete: broken,
        ..Plan::default()
    }
}

/// New Pods come beside old ones; an old one goes when its successor is available.
fn overlap(observed: &Observed<'_>, max_surge: usize) -> Plan {
    let mut plan = Plan::default();
    let (mut surging, mut candidates) = (0, Vec::new());
    for (node, _) in observed.nodes.iter().filter(|(_, fit)| fit.run) {
        let there: Vec<&Object> = observed
            .on(node.name())
            .filter(|o| !o.is_deleting())
            .collect();
        let old = there.iter().find(|o| !observed.is_new(o));
        let new = there.iter().find(|o| observed.is_new(o));
        match (old, new) {
            (Some(old), Some(new)) if observed.is_available(new) => {
                plan.delete.push((*old).clone())
            }
            (Some(_), Some(_)) => surging += 1,
            // A Pod that is not available is replaced without counting.
            (Some(old), None) if !observed.is_available(old) => {
                plan.create.push(node.name().to_owned())
            }
            (Some(_), None) => candidates.push(node.name().to_owned()),
            _ => {}
        }
    }
    plan.create.extend(
        candidates
            .into_iter()
            .take(max_surge.saturating_sub(surging)),
    );
    plan
}

#[cfg(test)]
mod tests {
    use k3s_client::Obj;
    use serde_json::json;

    use super::super::model::by_node;
    use super::*;

    fn node(name: &str, run: bool) -> (Object, Fit) {
        (
            Obj::from_value(json!({"metadata": {"name": name}})).unwrap(),
            Fit { run, stay: run },
        )
    }

    fn pod(name: &str, node: &str, hash: &str, ready: &str) -> Object {
        Obj::from_value(
            json!({"metadata": {"name": name, "uid": name, "labels": {HASH_LABEL: hash}}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}}),
        )
        .unwrap()
    }

    fn names(pods: &[Object]) -> Vec<&str> {
        pods.iter().map(|p| p.name()).collect()
    }

    #[test]
    fn one_pod_per_fitting_node() {
        let nodes = [node("a", true), node("b", true), node("c", false)];
        let pods = by_node(&[
            pod("a1", "a", "h", "True"),
            pod("a2", "a", "h", "True"),
            pod("c1", "c", "h", "True"),
        ]);
        let observed = Observed {
            nodes: &nodes,
            pods: &pods,
            hash: "h",
            min_ready_seconds: 0,
            now: Timestamp::UNIX_EPOCH,
        };
        let plan = place(&observed, false);
        assert_eq!(plan.create, ["b"]);
        assert_eq!(names(&plan.delete), ["a2", "c1"]);
    }

    #[test]
    fn an_update_takes_no_more_than_allowed_and_broken_ones_first() {
        let nodes = [node("a", true), node("b", true), node("c", true)];
        let pods = by_node(&[
            pod("a1", "a", "old", "True"),
            pod("b1", "b", "old", "False"),
            pod("c1", "c", "old", "True"),
        ]);
        let observed = Observed {
            nodes: &nodes,
            pods: &pods,
            hash: "new",
            min_ready_seconds: 0,
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(names(&roll(&observed, 0, 1).delete), ["b1"]);
        assert_eq!(names(&roll(&observed, 0, 2).delete), ["b1", "a1"]);
        let surge = roll(&observed, 1, 0);
        assert_eq!(surge.create, ["b", "a"]);
        assert!(surge.delete.is_empty());
    }
}
