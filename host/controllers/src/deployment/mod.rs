//! Deployment: rolls ReplicaSets from one template to the next.
//!
//! Watches Deployments and ReplicaSets, and Pods for the Recreate strategy. All decisions are pure:
//! [`plan`] (who gets how many replicas), [`progress`] (conditions), [`history`] (revisions and
//! clean-up). Upstream: `pkg/controller/deployment`.

mod apply;
mod history;
mod model;
mod new_set;
mod plan;
mod progress;
mod proportional;

use k3s_client::resources::{DEPLOYMENTS, PODS, REPLICA_SETS};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Obj, key};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::controller_ref::ControllerRefManager;
use crate::common::{pod, selector};
use crate::context::Context;
use crate::replicaset::{ORPHANS, orphans};
use model::Deployment;

struct DeploymentController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    deployments: Informer,
    sets: Informer,
    pods: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("deployment-controller");
    let deployments = context.informers.all(&DEPLOYMENTS);
    let sets = context.informers.all(&REPLICA_SETS);
    let pods = context.informers.all(&PODS);
    sets.add_index(ORPHANS, orphans);
    let reconciler = DeploymentController {
        recorder: context.recorder(&client, "deployment-controller"),
        client,
        clock: context.clock(),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    let of_sets = deployments.clone();
    let of_pods = deployments.clone();
    let set_cache = sets.clone();
    Controller::new("deployment-controller")
        .workers(5)
        .watch_own(&deployments)
        .watch(&sets, move |event| set_changed(event, &of_sets))
        .watch(&pods, move |event| pod_gone(event, &set_cache, &of_pods))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn owner(object: &Obj) -> Option<Key> {
    let owner = object.controller()?;
    let is_deployment = owner.kind == "Deployment" && owner.api_version == "apps/v1";
    if !is_deployment {
        return None;
    }
    Some(key(object.namespace(), &owner.name))
}

fn set_changed(event: &InformerEvent, deployments: &Informer) -> Vec<Key> {
    let mut keys = Vec::new();
    if let InformerEvent::Updated { old, .. } = event {
        keys.extend(owner(old));
    }
    let set = event.object();
    if let Some(owner) = owner(set) {
        keys.push(owner);
        return keys;
    }
    let is_orphan = set.controller().is_none();
    if is_orphan && !event.is_deleted() {
        let possible = possible_owners(set, deployments);
        keys.extend(possible);
    }
    keys
}

fn possible_owners(set: &Obj, deployments: &Informer) -> Vec<Key> {
    let labels = &set.meta().labels;
    let mut owners = Vec::new();
    for deployment in deployments.in_namespace(set.namespace()) {
        let Ok(selector) = selector::of(&deployment) else {
            continue;
        };
        if selector.is_empty() {
            continue;
        }
        if selector.matches_labels(labels) {
            owners.push(deployment.key().clone());
        }
    }
    owners
}

/// Recreate waits for the last old Pod to go.
fn pod_gone(event: &InformerEvent, sets: &Informer, deployments: &Informer) -> Vec<Key> {
    let pod = event.object();
    let has_ended = event.is_deleted() || pod::of(pod).is_terminal();
    if !has_ended {
        return Vec::new();
    }
    match recreating_owner(pod, sets, deployments) {
        Some(key) => vec![key],
        None => Vec::new(),
    }
}

/// The Deployment above a Pod, if its strategy is Recreate.
fn recreating_owner(pod: &Obj, sets: &Informer, deployments: &Informer) -> Option<Key> {
    let controller = pod.controller()?;
    if controller.kind != "ReplicaSet" {
        return None;
    }
    let set = sets.get(&key(pod.namespace(), &controller.name))?;
    let owner = owner(&set)?;
    let deployment = deployments.get(&owner)?;
    let is_recreate = Deployment::read(&deployment).is_recreate();
    is_recreate.then_some(owner)
}

impl Reconciler for DeploymentController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(object) = self.deployments.get(key) else {
            return Ok(Outcome::Done);
        };
        let selector = selector::of(&object)?;
        if selector.is_empty() {
            let message =
                "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.warning(&*object, "SelectingAll", message);
            return Ok(Outcome::Done);
        }
        let mut candidates = self
            .sets
            .by_index(k3s_client::informer::BY_OWNER, object.uid());
        candidates.extend(self.sets.by_index(ORPHANS, object.namespace()));
        let manager = ControllerRefManager {
            client: &self.client,
            owner: &object,
            owner_resource: &DEPLOYMENTS,
            selector: &selector,
            resource: &REPLICA_SETS,
            finalizer: None,
        };
        let sets = manager.claim(candidates).await?;
        let deployment = Deployment::read(&object);
        self.roll(&deployment, sets).await
    }
}
