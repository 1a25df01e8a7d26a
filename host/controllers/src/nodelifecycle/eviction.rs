//! Taint eviction: Pods leave a node with `NoExecute` taints they do not tolerate, or after the
//! time they tolerate them.
//!
//! Keyed by Pod. Watches Pods and Nodes; a Pod on a node without such taints costs one read of the
//! caches and no request. The time that a Pod tolerates a taint begins when both are on the node; where
//! the taint does not say since when it is there (`kubectl taint` does not), when this controller first saw
//! them so.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use k3s_client::informer::BY_NODE;
use k3s_client::resources::{NODES, PODS};
use k3s_client::{
    Client, DeleteParams, EventRecorder, Informer, InformerEvent, Obj, Patch, uid_is,
};
use k3s_objects::{Pod, Taint, Toleration};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use parking_lot::Mutex;
use serde_json::json;

use crate::common::{node, pod, time};
use crate::context::Context;

struct TaintEvictionController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    nodes: Informer,
    pods: Informer,
    sights: Sights,
}

pub(super) fn start(context: &Context) {
    let client = context.client("node-controller");
    let nodes = context.informers.all(&NODES);
    let pods = context.informers.all(&PODS);
    let reconciler = TaintEvictionController {
        recorder: context.recorder(&client, "taint-eviction-controller"),
        client,
        clock: context.clock(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        sights: Sights::default(),
    };
    let of_nodes = pods.clone();
    Controller::new("taint-eviction-controller")
        .workers(4)
        .watch(&pods, pod_changed)
        .watch(&nodes, move |event| node_changed(event, &of_nodes))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn pod_changed(event: &InformerEvent) -> Vec<Key> {
    let is_concerned = match event {
        InformerEvent::Added(_) => true,
        InformerEvent::Updated { old, new } => {
            let old = &pod::of(old).spec;
            let new = &pod::of(new).spec;
            old.node_name != new.node_name || old.tolerations != new.tolerations
        }
        InformerEvent::Deleted(_) => true,
    };
    if is_concerned {
        vec![event.object().key().clone()]
    } else {
        Vec::new()
    }
}

/// A change of a node's `NoExecute` taints concerns the Pods there.
fn node_changed(event: &InformerEvent, pods: &Informer) -> Vec<Key> {
    let is_concerned = match event {
        InformerEvent::Updated { old, new } => no_execute(old) != no_execute(new),
        InformerEvent::Added(node) => !no_execute(node).is_empty(),
        InformerEvent::Deleted(_) => false,
    };
    if !is_concerned {
        return Vec::new();
    }
    let node = event.object();
    pods.by_index(BY_NODE, node.name())
        .into_iter()
        .map(|pod| pod.key().clone())
        .collect()
}

fn no_execute(node: &Obj) -> Vec<&Taint> {
    let taints = node::of(node).spec.taints.iter();
    taints.filter(|taint| taint.effect == "NoExecute").collect()
}

impl Reconciler for TaintEvictionController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let pod = self.pods.get(key).filter(|pod| !pod.is_deleting());
        let node = |pod: &Obj| self.nodes.get(&pod::of(pod).spec.node_name);
        let Some((object, node)) = pod.and_then(|pod| Some((pod.clone(), node(&pod)?))) else {
            self.sights.forget(key);
            return Ok(Outcome::Done);
        };
        let taints = no_execute(&node);
        let now = self.clock.now();
        let seen = self.sights.of(key, object.uid(), &taints, now);
        let view = pod::of(&object);
        let since = |taint: &Taint| {
            let added = taint.time_added.as_deref().and_then(time::parse);
            let both = added.map(|added| added.max(placed(&object, view).unwrap_or(added)));
            both.or_else(|| seen.get(&taint.key).copied())
                .unwrap_or(now)
        };
        match stay(&taints, &view.spec.tolerations, since, now) {
            Stay::Forever => Ok(Outcome::Done),
            Stay::For(left) => Ok(Outcome::After(left)),
            Stay::No => {
                self.evict(&object).await?;
                Ok(Outcome::Done)
            }
        }
    }
}

impl TaintEvictionController {
    async fn evict(&self, object: &Obj) -> Result<(), Error> {
        let namespace = object.ns();
        let name = object.name();
        let message = format!("Marking for deletion Pod {}", object.key());
        self.recorder
            .normal(object, "TaintManagerEviction", message);
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": self.clock.now_rfc3339(),
        });
        let patch = Patch::Strategic(json!({
            "metadata": {"uid": object.uid()},
            "status": {"conditions": [condition]},
        }));
        let marked = self
            .client
            .patch_status(&PODS, namespace, name, &patch)
            .await;
        match marked {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let params = DeleteParams::default().preconditions(uid_is(object.uid()));
        let deleted = self.client.delete(&PODS, namespace, name, &params).await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Since when the Pod is on its node.
fn placed(object: &Obj, pod: &Pod) -> Option<Timestamp> {
    let scheduled = pod.condition("PodScheduled");
    let at = scheduled.and_then(|condition| condition.last_transition_time.as_deref());
    time::parse(at.unwrap_or(&object.meta().creation_timestamp))
}

/// When Pods were first seen on a node with a taint. An entry lives as long as the Pod is on such a node.
#[derive(Debug, Default)]
struct Sights(Mutex<HashMap<Key, Sight>>);

#[derive(Debug, Default)]
struct Sight {
    uid: String,
    /// By key of the taint.
    taints: BTreeMap<String, Timestamp>,
}

impl Sights {
    /// Takes in what is there now, and returns since when.
    fn of(
        &self,
        key: &Key,
        uid: &str,
        taints: &[&Taint],
        now: Timestamp,
    ) -> BTreeMap<String, Timestamp> {
        if taints.is_empty() {
            self.forget(key);
            return BTreeMap::new();
        }
        let mut sights = self.0.lock();
        let sight = sights.entry(key.clone()).or_default();
        if sight.uid != uid {
            *sight = Sight {
                uid: uid.to_owned(),
                taints: BTreeMap::new(),
            };
        }
        let since = |taint: &&Taint| {
            let known = sight.taints.get(&taint.key).copied();
            (taint.key.clone(), known.unwrap_or(now))
        };
        let present: BTreeMap<_, _> = taints.iter().map(since).collect();
        sight.taints.clone_from(&present);
        present
    }

    fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

/// How long a Pod may stay.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(Duration),
    No,
}

/// The time of a taint counts from `since`; the shortest toleration decides.
fn stay(
    taints: &[&Taint],
    tolerations: &[Toleration],
    since: impl Fn(&Taint) -> Timestamp,
    now: Timestamp,
) -> Stay {
    let mut shortest = Stay::Forever;
    for taint in taints {
        let Some(seconds) = tolerated(taint, tolerations) else {
            return Stay::No;
        };
        let Some(seconds) = seconds else { continue };
        let span = Duration::from_secs(seconds);
        let Some(left) = time::until(now, since(taint), span) else {
            return Stay::No;
        };
        shortest = match shortest {
            Stay::For(other) => Stay::For(other.min(left)),
            _ => Stay::For(left),
        };
    }
    shortest
}

/// `None` where no toleration fits; otherwise the seconds, `Some(None)` without a limit.
fn tolerated(taint: &Taint, tolerations: &[Toleration]) -> Option<Option<u64>> {
    let mut is_tolerated = false;
    let mut shortest: Option<u64> = None;
    for toleration in tolerations {
        if !toleration.tolerates(taint) {
            continue;
        }
        is_tolerated = true;
        if let Some(seconds) = toleration.toleration_seconds {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            let least = shortest.map_or(seconds, |other| other.min(seconds));
            shortest = Some(least);
        }
    }
    is_tolerated.then_some(shortest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(seconds: Option<i64>) -> Toleration {
        Toleration {
            key: "node.kubernetes.io/unreachable".into(),
            operator: "Exists".into(),
            effect: "NoExecute".into(),
            toleration_seconds: seconds,
            ..Toleration::default()
        }
    }

    fn taint(key: &str, added: Option<&str>) -> Taint {
        Taint {
            key: key.into(),
            effect: "NoExecute".into(),
            time_added: added.map(str::to_owned),
            ..Taint::default()
        }
    }

    const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates() {
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let taint = taint(UNREACHABLE, None);
        let taints = [&taint];
        let stay = |tolerations: &[Toleration], since: &str| {
            let since: Timestamp = since.parse().unwrap();
            stay(&taints, tolerations, |_| since, now)
        };
        assert_eq!(stay(&[], "2026-01-01T00:04:00Z"), Stay::No);
        assert_eq!(
            stay(&[toleration(None)], "2026-01-01T00:04:00Z"),
            Stay::Forever
        );
        for (since, expected) in [
            ("2026-01-01T00:04:00Z", Stay::For(Duration::from_secs(240))),
            ("2026-01-01T00:00:00Z", Stay::No),
        ] {
            assert_eq!(stay(&[toleration(Some(300))], since), expected);
        }
        assert_eq!(super::stay(&[], &[], |_| now, now), Stay::Forever);
    }

    #[test]
    fn the_first_sight_of_a_pod_under_a_taint_counts_until_either_goes() {
        let sights = Sights::default();
        let key: Key = "n/p".into();
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let (a, b) = (taint("a", None), taint("b", None));
        let see = |uid: &str, taints: &[&Taint], minute: i64| {
            let seen = sights.of(&key, uid, taints, at(minute));
            seen.into_values().collect::<Vec<_>>()
        };
        assert_eq!(see("1", &[&a], 1), [at(1)]);
        assert_eq!(see("1", &[&a, &b], 2), [at(1), at(2)]);
        assert_eq!(see("1", &[&b], 3), [at(2)]);
        assert_eq!(see("1", &[&a, &b], 4), [at(4), at(2)]);
        assert_eq!(see("2", &[&a], 5), [at(5)], "another pod of that name");
        assert!(see("2", &[], 6).is_empty());
        assert_eq!(see("2", &[&a], 7), [at(7)]);
    }
}
