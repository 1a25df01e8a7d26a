//! ReplicaSet and ReplicationController: as many Pods of one template as asked for.
//!
//! Watches its own kind and Pods. Creations and deletions are expected before they are asked for,
//! so that a cache that lags never leads to a Pod too many (upstream `pkg/controller/replicaset`). Pods
//! that fail at once are replaced ever later.

mod apply;
mod family;
mod plan;
mod ranking;
mod status;

use std::sync::Arc;

use k3s_client::resources::PODS;
use k3s_client::{Client, EventRecorder, Expectations, Informer, InformerEvent, Obj, key};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::controller_ref::ControllerRefManager;
use crate::common::failures::{self, FailedPods};
use crate::common::pod;
use crate::context::Context;
use family::Family;

/// Index of Pods without a controller, by namespace.
pub(crate) const ORPHANS: &str = "orphans";

struct ReplicaSetController {
    family: Family,
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    expectations: Arc<Expectations>,
    failures: FailedPods,
    sets: Informer,
    pods: Informer,
}

pub(crate) fn start(context: &Context) {
    family::ALL
        .into_iter()
        .for_each(|family| start_family(context, family));
}

fn start_family(context: &Context, family: Family) {
    let client = context.client(family.service_account);
    let pods = context.informers.all(&PODS);
    pods.add_index(ORPHANS, orphans);
    let sets = context.informers.all(&family.resource);
    let expectations = Arc::new(Expectations::new(context.clock()));
    let reconciler = ReplicaSetController {
        recorder: context.recorder(&client, family.component),
        client,
        clock: context.clock(),
        expectations: expectations.clone(),
        failures: FailedPods::new(context.clock(), failures::CAP),
        sets: sets.clone(),
        pods: pods.clone(),
        family: family.clone(),
    };
    let name = family.component;
    Controller::new(name)
        .workers(5)
        .watch_own(&sets)
        .watch(&pods, move |event| {
            pod_changed(event, &family, &sets, &expectations)
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

/// Indexes a Pod under its namespace when it has no controller.
pub(crate) fn orphans(object: &Obj) -> Vec<String> {
    if object.controller().is_none() {
        vec![object.namespace().to_owned()]
    } else {
        Vec::new()
    }
}

fn pod_changed(
    event: &InformerEvent,
    family: &Family,
    sets: &Informer,
    expectations: &Expectations,
) -> Vec<Key> {
    let mut keys = Vec::new();
    match event {
        InformerEvent::Added(pod) => {
            if let Some(owner) = owner(pod, family) {
                expectations.creation_observed(&owner);
                observe_deletion(pod, &owner, expectations);
            }
        }
        InformerEvent::Updated { old, new } => {
            if let Some(owner) = owner(new, family) {
                observe_deletion(new, &owner, expectations);
            }
            // A changed owner concerns both.
            keys.extend(owner(old, family));
        }
        InformerEvent::Deleted(pod) => {
            if let Some(owner) = owner(pod, family) {
                expectations.deletion_observed(&owner, pod.uid());
            }
        }
    }
    let pod = event.object();
    match owner(pod, family) {
        Some(owner) => keys.push(owner),
        None if pod.controller().is_none() && !event.is_deleted() => {
            keys.extend(possible_owners(pod, family, sets))
        }
        None => {}
    }
    keys
}

fn observe_deletion(pod: &Obj, owner: &Key, expectations: &Expectations) {
    if pod.is_deleting() {
        expectations.deletion_observed(owner, pod.uid());
    }
}

fn owner(pod: &Obj, family: &Family) -> Option<Key> {
    let controller = pod.controller()?;
    if !family.is(controller) {
        return None;
    }
    Some(key(pod.namespace(), &controller.name))
}

fn possible_owners(pod: &Obj, family: &Family, sets: &Informer) -> Vec<Key> {
    let labels = &pod.meta().labels;
    let mut owners = Vec::new();
    for set in sets.in_namespace(pod.namespace()) {
        let Ok(selector) = family.selector(&set) else {
            continue;
        };
        if selector.is_empty() {
            continue;
        }
        if selector.matches_labels(labels) {
            owners.push(set.key().clone());
        }
    }
    owners
}

impl Reconciler for ReplicaSetController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            self.failures.forget(key);
            return Ok(Outcome::Done);
        };
        // Read before the cache: what is observed later can only add.
        let may_act = self.expectations.satisfied(key) && !set.is_deleting();
        let selector = self.family.selector(&set)?;
        let candidates = self.candidates(&set);
        let manager = ControllerRefManager {
            client: &self.client,
            owner: &set,
            owner_resource: &self.family.resource,
            selector: &selector,
            resource: &PODS,
            finalizer: None,
        };
        let owned = manager.claim(candidates).await?;
        let active: Vec<_> = owned
            .iter()
            .filter(|p| pod::is_active(p))
            .cloned()
            .collect();
        self.failures.note(&set, &owned);
        let managed = if may_act {
            self.manage(&set, &active).await
        } else {
            Ok(None)
        };
        let wait = self
            .write_status(&set, &active, managed.as_ref().err())
            .await?;
        let next = [wait, managed?].into_iter().flatten().min();
        match next {
            Some(wait) => Ok(Outcome::After(wait)),
            None => Ok(Outcome::Done),
        }
    }
}
