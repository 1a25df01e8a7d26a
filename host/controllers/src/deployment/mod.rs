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
use crate::common::selector;
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
    sets.add_index(ORPHANS, orphans);
    let pods = context.informers.all(&PODS);
    let reconciler = DeploymentController {
        recorder: context.recorder(&client, "deployment-controller"),
        client,
        clock: context.clock(),
        deployments: deployments.clone(),
        sets: sets.clone(),
        pods: pods.clone(),
    };
    let (of_sets, of_pods, set_cache) = (deployments.clone(), deployments.clone(), sets.clone());
    Controller::new("deployment-controller")
        .workers(5)
        .watch_own(&deployments)
        .watch(&sets, move |event| set_changed(event, &of_sets))
        .watch(&pods, move |event| pod_gone(event, &set_cache, &of_pods))
        .run(reconciler, &context.statuses, &context.tasks);
}

fn owner(object: &Obj) -> Option<Key> {
    let owner = object
        .controller()
        .filter(|o| o.kind == "Deployment" && o.api_version == "apps/v1")?;
    Some(key(object.namespace(), &owner.name))
}

fn set_changed(event: &InformerEvent, deployments: &Informer) -> Vec<Key> {
    let mut keys = Vec::new();
    if let InformerEvent::Updated { old, .. } = event {
        keys.extend(owner(old));
    }
    let set = event.object();
    match owner(set) {
        Some(key) => keys.push(key),
        None if set.controller().is_none() && !event.is_deleted() => {
            let matching = deployments
                .in_namespace(set.namespace())
                .into_iter()
                .filter(|d| {
                    selector::of(d)
                        .is_ok_and(|s| !s.is_empty() && s.matches_labels(&set.meta().labels))
                });
            keys.extend(matching.map(|d| d.key().clone()));
        }
        None => {}
    }
    keys
}

/// Recreate waits for the last old Pod to go.
fn pod_gone(event: &InformerEvent, sets: &Informer, deployments: &Informer) -> Vec<Key> {
    let pod = event.object();
    let ended = event.is_deleted() || crate::common::pod::of(pod).is_terminal();
    let set = pod
        .controller()
        .filter(|o| ended && o.kind == "ReplicaSet")
        .and_then(|o| sets.get(&key(pod.namespace(), &o.name)));
    let deployment = set.and_then(|set| owner(&set));
    deployment
        .filter(|key| {
            deployments
                .get(key)
                .is_some_and(|d| Deployment::read(&d).is_recreate())
        })
        .into_iter()
        .collect()
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
