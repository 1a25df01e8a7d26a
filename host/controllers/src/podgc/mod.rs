//! Pod garbage collection: Pods that no kubelet will ever finish.
//!
//! Orphans (their node is gone), unscheduled Pods that are being deleted, Pods stuck on a node that
//! is out of service, and ended Pods beyond a threshold. Keyed by Pod, with one key (`*`) for the
//! threshold. Upstream: `pkg/controller/podgc`.

use std::collections::HashMap;
use std::time::Duration;

use k3s_client::informer::BY_NODE;
use k3s_client::resources::{NODES, PODS};
use k3s_client::{Client, DeleteParams, Informer, InformerEvent, Obj, Patch, uid_is};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use parking_lot::Mutex;
use serde_json::json;

use crate::common::pod;
use crate::context::Context;

/// Ended Pods that are kept (`--terminated-pod-gc-threshold`).
const THRESHOLD: usize = 12_500;
/// A node counts as deleted only after this, since it may be registered again at any moment.
const QUARANTINE: Duration = Duration::from_secs(40);
const ALL: &str = "*";

struct PodGcController {
    client: Client,
    clock: k3s_base::Clock,
    pods: Informer,
    nodes: Informer,
    /// Since when a node is missed, by this process' own clock. Bounded by the nodes that went.
    missed: Mutex<HashMap<String, Duration>>,
}

pub(crate) fn start(context: &Context) {
    let pods = context.informers.all(&PODS);
    let nodes = context.informers.all(&NODES);
    let reconciler = PodGcController {
        client: context.client("pod-garbage-collector"),
        clock: context.clock(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        missed: Mutex::default(),
    };
    let of_pods = pods.clone();
    let of_nodes = pods.clone();
    let known = nodes.clone();
    Controller::new("pod-garbage-collector-controller")
        .watch(&pods, move |event| pod_changed(event, &of_pods, &known))
        .watch(&nodes, move |event| node_changed(event, &of_nodes))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn pod_changed(event: &InformerEvent, pods: &Informer, nodes: &Informer) -> Vec<Key> {
    if event.is_deleted() {
        return Vec::new();
    }
    let object = event.object();
    let view = pod::of(object);
    let is_concerned = if view.is_scheduled() {
        nodes.get(&view.spec.node_name).is_none()
    } else {
        object.is_deleting()
    };
    let mut keys = Vec::new();
    if is_concerned {
        keys.push(object.key().clone());
    }
    if view.is_terminal() && pods.len() > THRESHOLD {
        keys.push(ALL.into());
    }
    keys
}

fn node_changed(event: &InformerEvent, pods: &Informer) -> Vec<Key> {
    let node = event.object();
    let is_concerned = event.is_deleted() || out_of_service(node);
    if !is_concerned {
        return Vec::new();
    }
    pods.by_index(BY_NODE, node.name())
        .into_iter()
        .map(|pod| pod.key().clone())
        .collect()
}

fn out_of_service(node: &Obj) -> bool {
    let taints = tree::list(node.value(), "spec.taints");
    taints
        .iter()
        .any(|taint| tree::text(taint, "key") == "node.kubernetes.io/out-of-service")
}

/// Why a Pod is deleted, for its condition.
struct Cause {
    reason: &'static str,
    message: &'static str,
}

impl Reconciler for PodGcController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if &**key == ALL {
            self.trim().await?;
            return Ok(Outcome::Done);
        }
        let Some(object) = self.pods.get(key) else {
            return Ok(Outcome::Done);
        };
        let view = pod::of(&object);
        if !view.is_scheduled() {
            if object.is_deleting() {
                self.remove(&object, None).await?;
            }
            return Ok(Outcome::Done);
        }
        let name = &view.spec.node_name;
        let Some(node) = self.nodes.get(name) else {
            return self.orphan(&object, name).await;
        };
        let is_stuck = object.is_deleting() && !view.is_ready();
        if is_stuck && out_of_service(&node) {
            let cause = Cause {
                reason: "DeletionByPodGC",
                message: "PodGC: node is out of service",
            };
            self.remove(&object, Some(cause)).await?;
        } else {
            self.missed.lock().remove(name);
        }
        Ok(Outcome::Done)
    }
}

impl PodGcController {
    async fn orphan(&self, object: &Obj, node: &str) -> Result<Outcome, Error> {
        // The Pod may be newer than the cache of nodes, or the node about to come back.
        let now = self.clock.elapsed();
        let since = *self.missed.lock().entry(node.to_owned()).or_insert(now);
        let missed_for = now.saturating_sub(since);
        let left = QUARANTINE.saturating_sub(missed_for);
        if !left.is_zero() {
            return Ok(Outcome::After(left));
        }
        match self.client.get(&NODES, None, node).await {
            Ok(_) => return Ok(Outcome::Done),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        let cause = Cause {
            reason: "DeletionByPodGC",
            message: "PodGC: node no longer exists",
        };
        self.remove(object, Some(cause)).await?;
        Ok(Outcome::Done)
    }

    /// The oldest ended Pods beyond the threshold.
    async fn trim(&self) -> Result<(), Error> {
        let mut ended = self.pods.list();
        ended.retain(|object| {
            let is_terminal = pod::of(object).is_terminal();
            is_terminal && !object.is_deleting()
        });
        let surplus = ended.len().saturating_sub(THRESHOLD);
        ended.sort_by(|a, b| {
            let created_a = &a.meta().creation_timestamp;
            let created_b = &b.meta().creation_timestamp;
            let by_age = created_a.cmp(created_b);
            by_age.then_with(|| a.name().cmp(b.name()))
        });
        for object in ended.iter().take(surplus) {
            self.remove(object, None).await?;
        }
        Ok(())
    }

    async fn remove(&self, object: &Obj, cause: Option<Cause>) -> Result<(), Error> {
        if let Some(cause) = cause
            && !pod::of(object).is_terminal()
        {
            let marked = self.mark_failed(object, &cause).await;
            match marked {
                Ok(()) => {}
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        let params = DeleteParams::default()
            .grace_period(0)
            .preconditions(uid_is(object.uid()));
        let deleted = self
            .client
            .delete(&PODS, object.ns(), object.name(), &params)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn mark_failed(&self, object: &Obj, cause: &Cause) -> k3s_client::Result<()> {
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": cause.reason,
            "message": cause.message,
            "lastTransitionTime": self.clock.now_rfc3339(),
        });
        let patch = Patch::Strategic(json!({
            "metadata": {
                "uid": object.uid(),
            },
            "status": {
                "phase": "Failed",
                "conditions": [condition],
            },
        }));
        self.client
            .patch_status(&PODS, object.ns(), object.name(), &patch)
            .await?;
        Ok(())
    }
}
