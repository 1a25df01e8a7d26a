//! Pod garbage collection: Pods that no kubelet will ever finish.
//!
//! Orphans (their node is gone), unscheduled Pods that are being deleted, Pods stuck on a node that
//! is out of service, and ended Pods beyond a threshold. Keyed by Pod, with one key (`*`) for the
//! threshold. Upstream: `pkg/controller/podgc`.

use std::collections::HashMap;
use std::time::Duration;

use k3s_client::informer::BY_NODE;
use k3s_client::resources::{NODES, PODS};
use k3s_client::{Client, DeleteParams, Informer, Obj, Object, Patch, uid_is};
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
    let (of_nodes, known, ended) = (pods.clone(), nodes.clone(), pods.clone());
    Controller::new("pod-garbage-collector-controller")
        .watch(&pods, move |event| {
            let object = event.object();
            let view = pod::of(object);
            let mut keys = Vec::new();
            if !event.is_deleted()
                && ((object.is_deleting() && !view.is_scheduled())
                    || (view.is_scheduled() && known.get(&view.spec.node_name).is_none()))
            {
                keys.push(object.key().clone());
            }
            if view.is_terminal() && !event.is_deleted() && ended.len() > THRESHOLD {
                keys.push(ALL.into());
            }
            keys
        })
        .watch(&nodes, move |event| {
            let node = event.object();
            let concerns = event.is_deleted() || out_of_service(node);
            let there = if concerns {
                of_nodes.by_index(BY_NODE, node.name())
            } else {
                Vec::new()
            };
            there.into_iter().map(|pod| pod.key().clone()).collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
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
            return self.trim().await.map(|()| Outcome::Done);
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
        match self.nodes.get(&view.spec.node_name) {
            Some(node) if out_of_service(&node) && object.is_deleting() && !view.is_ready() => {
                let cause = Cause {
                    reason: "DeletionByPodGC",
                    message: "PodGC: node is out of service",
                };
                self.remove(&object, Some(cause))
                    .await
                    .map(|()| Outcome::Done)
            }
            Some(node) => {
                self.missed.lock().remove(node.name());
                Ok(Outcome::Done)
            }
            None => self.orphan(&object, &view.spec.node_name).await,
        }
    }
}

impl PodGcController {
    async fn orphan(&self, object: &Obj, node: &str) -> Result<Outcome, Error> {
        // The Pod may be newer than the cache of nodes, or the node about to come back.
        let now = self.clock.elapsed();
        let since = *self.missed.lock().entry(node.to_owned()).or_insert(now);
        if let Some(left) = QUARANTINE
            .checked_sub(now.saturating_sub(since))
            .filter(|left| !left.is_zero())
        {
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
        self.remove(object, Some(cause))
            .await
            .map(|()| Outcome::Done)
    }

    /// The oldest ended Pods beyond the threshold.
    async fn trim(&self) -> Result<(), Error> {
        let mut ended: Vec<Object> = self
            .pods
            .list()
            .into_iter()
            .filter(|o| pod::of(o).is_terminal() && !o.is_deleting())
            .collect();
        let surplus = ended.len().saturating_sub(THRESHOLD);
        ended.sort_by(|a, b| {
            (&a.meta().creation_timestamp, a.name()).cmp(&(&b.meta().creation_timestamp, b.name()))
        });
        for object in ended.iter().take(surplus) {
            self.remove(object, None).await?;
        }
        Ok(())
    }

    async fn remove(&self, object: &Obj, cause: Option<Cause>) -> Result<(), Error> {
        if let Some(cause) = cause.filter(|_| !pod::of(object).is_terminal()) {
            let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": cause.reason,
                "message": cause.message, "lastTransitionTime": self.clock.now_rfc3339()});
            let patch = json!({"metadata": {"uid": object.uid()}, "status": {"phase": "Failed", "conditions": [condition]}});
            match self
                .client
                .patch_status(&PODS, object.ns(), object.name(), &Patch::Strategic(patch))
                .await
            {
                Err(error) if error.is_not_found() => return Ok(()),
                result => result?,
            };
        }
        match self
            .client
            .delete(
                &PODS,
                object.ns(),
                object.name(),
                &DeleteParams::default()
                    .grace_period(0)
                    .preconditions(uid_is(object.uid())),
            )
            .await
        {
            Err(error) if error.is_not_found() => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }
}
