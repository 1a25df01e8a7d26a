//! DaemonSet: one Pod on every node that fits.
//!
//! Pods are made with a node affinity for one node and bound by the scheduler. Watches DaemonSets,
//! Pods, Nodes and its ControllerRevisions. Upstream: `pkg/controller/daemon`.

mod apply;
mod model;
mod nodes;
mod plan;
mod revision;
mod status;
mod template_spec;

use std::sync::Arc;
use std::time::Duration;

use k3s_client::resources::{CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS};
use k3s_client::{Client, EventRecorder, Expectations, Informer, InformerEvent, Obj, key};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::Value;

use crate::common::controller_ref::ControllerRefManager;
use crate::common::failures::FailedPods;
use crate::common::selector;
use crate::context::Context;
use crate::replicaset::{ORPHANS, orphans};
use model::DaemonSet;

/// The longest delay before a daemon that keeps ending is made again (upstream's).
const FAILED_CAP: Duration = Duration::from_secs(15 * 60);

struct DaemonSetController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    expectations: Arc<Expectations>,
    sets: Informer,
    pods: Informer,
    nodes: Informer,
    revisions: Informer,
    /// By UID and node.
    failures: FailedPods,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("daemon-set-controller");
    let sets = context.informers.all(&DAEMON_SETS);
    let pods = context.informers.all(&PODS);
    let nodes = context.informers.all(&NODES);
    let revisions = context.informers.all(&CONTROLLER_REVISIONS);
    pods.add_index(ORPHANS, orphans);
    let expectations = Arc::new(Expectations::new(context.clock()));
    let reconciler = DaemonSetController {
        recorder: context.recorder(&client, "daemonset-controller"),
        client,
        clock: context.clock(),
        expectations: expectations.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
        nodes: nodes.clone(),
        revisions: revisions.clone(),
        failures: FailedPods::new(context.clock(), FAILED_CAP),
    };
    let of_pods = sets.clone();
    let of_nodes = sets.clone();
    Controller::new("daemonset-controller")
        .watch_own(&sets)
        .watch(&pods, move |event| {
            pod_changed(event, &of_pods, &expectations)
        })
        .watch(&nodes, move |event| node_changed(event, &of_nodes))
        .requires(&revisions)
        .run(reconciler, &context.statuses, &context.tasks);
}

fn owner(object: &Obj) -> Option<Key> {
    let owner = object.controller()?;
    let is_daemon_set = owner.kind == "DaemonSet" && owner.api_version == "apps/v1";
    if !is_daemon_set {
        return None;
    }
    Some(key(object.namespace(), &owner.name))
}

fn pod_changed(event: &InformerEvent, sets: &Informer, expectations: &Expectations) -> Vec<Key> {
    let pod = event.object();
    let Some(owner) = owner(pod) else {
        if pod.controller().is_some() || event.is_deleted() {
            return Vec::new();
        }
        return possible_owners(pod, sets);
    };
    if let InformerEvent::Added(_) = event {
        expectations.creation_observed(&owner);
    }
    if event.is_deleted() || pod.is_deleting() {
        expectations.deletion_observed(&owner, pod.uid());
    }
    vec![owner]
}

fn possible_owners(pod: &Obj, sets: &Informer) -> Vec<Key> {
    let labels = &pod.meta().labels;
    sets.in_namespace(pod.namespace())
        .into_iter()
        .filter(|set| selector::selects(set, labels))
        .map(|set| set.key().clone())
        .collect()
}

/// Heartbeats change nothing for daemons; labels, taints and existence do.
fn node_changed(event: &InformerEvent, sets: &Informer) -> Vec<Key> {
    if let InformerEvent::Updated { old, new } = event {
        let same_labels = old.meta().labels == new.meta().labels;
        let same_taints = taints(old) == taints(new);
        if same_labels && same_taints {
            return Vec::new();
        }
    }
    sets.list()
        .into_iter()
        .map(|set| set.key().clone())
        .collect()
}

fn taints(node: &Obj) -> &[Value] {
    tree::list(node.value(), "spec.taints")
}

impl Reconciler for DaemonSetController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(object) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(Outcome::Done);
        };
        let selector = selector::of(&object)?;
        if selector.is_empty() || object.is_deleting() {
            return Ok(Outcome::Done);
        }
        let may_act = self.expectations.satisfied(key);
        let mut candidates = self
            .pods
            .by_index(k3s_client::informer::BY_OWNER, object.uid());
        candidates.extend(self.pods.by_index(ORPHANS, object.namespace()));
        let manager = ControllerRefManager {
            client: &self.client,
            owner: &object,
            owner_resource: &DAEMON_SETS,
            selector: &selector,
            resource: &PODS,
            finalizer: None,
        };
        let pods = manager.claim(candidates).await?;
        let set = DaemonSet::read(&object);
        self.pass(&set, pods, may_act).await
    }
}
