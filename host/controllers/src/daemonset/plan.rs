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

    /// The Pods of a node that are not being deleted.
    fn staying_on(&self, node: &str) -> Vec<&Object> {
        self.on(node)
            .filter(|object| !object.is_deleting())
            .collect()
    }

    /// The Pod that stands for its node in the status: the oldest that stays, or else the oldest.
    pub(super) fn first_on(&self, node: &str) -> Option<&Object> {
        let pods = self.pods.get(node)?;
        let staying = pods.iter().find(|object| !object.is_deleting());
        staying.or(pods.first())
    }

    /// The names of the nodes that should have a Pod.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &str> {
        self.nodes
            .iter()
            .filter(|(_, fit)| fit.run)
            .map(|(node, _)| node.name())
    }

    pub(super) fn is_new(&self, pod: &Object) -> bool {
        pod.label(HASH_LABEL) == Some(self.hash)
    }

    pub(super) fn availability(&self, object: &Object) -> Availability {
        let view = pod::of(object);
        pod::availability(view, self.min_ready_seconds, self.now)
    }

    fn is_available(&self, object: &Object) -> bool {
        self.availability(object) == Availability::Yes
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
            let unwanted = observed.staying_on(node.name());
            plan.delete.extend(unwanted.into_iter().cloned());
        }
    }
    plan.delete.extend(stranded(observed));
    plan
}

/// Pods that wait for a node that is gone. Bound Pods of such a node are the Pod collector's.
fn stranded(observed: &Observed<'_>) -> Vec<Object> {
    let known: BTreeSet<&str> = observed.nodes.iter().map(|(node, _)| node.name()).collect();
    let mut stranded = Vec::new();
    for (node, pods) in observed.pods {
        if known.contains(node.as_str()) {
            continue;
        }
        for object in pods {
            let is_bound = pod::of(object).is_scheduled();
            if !is_bound && !object.is_deleting() {
                stranded.push(object.clone());
            }
        }
    }
    stranded
}

fn stay(observed: &Observed<'_>, there: &[&Object], surging: bool, plan: &mut Plan) {
    let mut running: Vec<&Object> = Vec::new();
    for &object in there {
        if object.is_deleting() {
            continue;
        }
        if pod::of(object).is_terminal() {
            plan.delete.push(object.clone());
            plan.failed.push(object.clone());
        } else {
            running.push(object);
        }
    }
    if !surging {
        let surplus = running.into_iter().skip(1);
        plan.delete.extend(surplus.cloned());
        return;
    }
    // The oldest of each template stays; the update decides between the two.
    let (new, old): (Vec<&Object>, Vec<&Object>) = running
        .into_iter()
        .partition(|object| observed.is_new(object));
    let surplus_new = new.into_iter().skip(1);
    let surplus_old = old.into_iter().skip(1);
    plan.delete.extend(surplus_new.cloned());
    plan.delete.extend(surplus_old.cloned());
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
    let mut missing = 0;
    let mut broken = Vec::new();
    let mut candidates = Vec::new();
    for node in observed.wanted() {
        let there = observed.staying_on(node);
        let old = there.iter().find(|object| !observed.is_new(object));
        let Some(&old) = old else {
            let is_served = there.iter().any(|object| observed.is_available(object));
            missing += usize::from(!is_served);
            continue;
        };
        if observed.is_available(old) {
            candidates.push(old.clone());
        } else {
            missing += 1;
            broken.push(old.clone());
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
    let mut surging = 0;
    let mut candidates = Vec::new();
    for node in observed.wanted() {
        let there = observed.staying_on(node);
        let old = there.iter().find(|object| !observed.is_new(object));
        let new = there.iter().find(|object| observed.is_new(object));
        let Some(&old) = old else {
            continue;
        };
        match new {
            Some(new) if observed.is_available(new) => plan.delete.push(old.clone()),
            Some(_) => surging += 1,
            None if observed.is_available(old) => candidates.push(node.to_owned()),
            // A Pod that is not available is replaced without counting.
            None => plan.create.push(node.to_owned()),
        }
    }
    let room = max_surge.saturating_sub(surging);
    let surge = candidates.into_iter().take(room);
    plan.create.extend(surge);
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
