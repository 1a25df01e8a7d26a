//! Taint eviction: Pods leave a node with `NoExecute` taints they do not tolerate, or after the
//! time they tolerate them.
//!
//! Keyed by Pod. Watches Pods and Nodes; a Pod on a node without such taints costs one read of the
//! caches and no request.

use std::time::Duration;

use jiff::Timestamp;
use k3s_client::informer::BY_NODE;
use k3s_client::resources::{NODES, PODS};
use k3s_client::{
    Client, DeleteParams, EventRecorder, Informer, InformerEvent, Obj, Patch, uid_is,
};
use k3s_objects::{Taint, Toleration};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::json;

use crate::common::{node, pod, time};
use crate::context::Context;

struct TaintEvictionController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    nodes: Informer,
    pods: Informer,
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
        InformerEvent::Deleted(_) => false,
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
        let Some(object) = self.pods.get(key) else {
            return Ok(Outcome::Done);
        };
        if object.is_deleting() {
            return Ok(Outcome::Done);
        }
        let spec = &pod::of(&object).spec;
        let Some(node) = self.nodes.get(&spec.node_name) else {
            return Ok(Outcome::Done);
        };
        let taints = no_execute(&node);
        let now = self.clock.now();
        match stay(&taints, &spec.tolerations, now) {
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

/// How long a Pod may stay.
#[derive(Debug, PartialEq, Eq)]
enum Stay {
    Forever,
    For(Duration),
    No,
}

/// The time counts from when the taint was added; the shortest toleration decides.
fn stay(taints: &[&Taint], tolerations: &[Toleration], now: Timestamp) -> Stay {
    let mut shortest = Stay::Forever;
    for taint in taints {
        let Some(seconds) = tolerated(taint, tolerations) else {
            return Stay::No;
        };
        let Some(seconds) = seconds else { continue };
        let added = taint.time_added.as_deref().and_then(time::parse);
        let added = added.unwrap_or(now);
        let Some(left) = time::until(now, added, Duration::from_secs(seconds)) else {
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

    #[test]
    fn a_pod_stays_as_long_as_it_tolerates() {
        let now: Timestamp = "2026-01-01T00:05:00Z".parse().unwrap();
        let taint = |added: &str| Taint {
            key: "node.kubernetes.io/unreachable".into(),
            effect: "NoExecute".into(),
            time_added: Some(added.into()),
            ..Taint::default()
        };
        assert_eq!(stay(&[], &[], now), Stay::Forever);
        assert_eq!(stay(&[&taint("2026-01-01T00:04:00Z")], &[], now), Stay::No);
        assert_eq!(
            stay(&[&taint("2026-01-01T00:04:00Z")], &[toleration(None)], now),
            Stay::Forever
        );
        assert_eq!(
            stay(
                &[&taint("2026-01-01T00:04:00Z")],
                &[toleration(Some(300))],
                now
            ),
            Stay::For(Duration::from_secs(240))
        );
        assert_eq!(
            stay(
                &[&taint("2026-01-01T00:00:00Z")],
                &[toleration(Some(300))],
                now
            ),
            Stay::No
        );
    }
}
