//! StatefulSet: Pods with names, places and claims of their own, made and changed in order.
//!
//! Watches its own kind, Pods, and reads claims and ControllerRevisions. Needs no expectations:
//! names are fixed, so a cache that lags leads to "already exists" and never to a Pod too many.
//! Upstream: `pkg/controller/statefulset`.

mod apply;
mod claims;
mod model;
mod plan;
mod pod;
mod revision;
mod status;

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Obj, Object, key};
use k3s_meta::LabelSelector;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::common::controller_ref::ControllerRefManager;
use crate::common::failures::{self, FailedPods};
use crate::common::selector;
use crate::context::Context;
use crate::replicaset::{ORPHANS, orphans};
use model::{Member, StatefulSet, ordinal_of};

struct StatefulSetController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    sets: Informer,
    pods: Informer,
    claims: Informer,
    revisions: Informer,
    /// By UID and ordinal.
    failures: FailedPods,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("statefulset-controller");
    let sets = context.informers.all(&STATEFUL_SETS);
    let pods = context.informers.all(&PODS);
    let claims = context.informers.all(&PERSISTENT_VOLUME_CLAIMS);
    let revisions = context.informers.all(&CONTROLLER_REVISIONS);
    pods.add_index(ORPHANS, orphans);
    revisions.add_index(ORPHANS, orphans);
    let reconciler = StatefulSetController {
        recorder: context.recorder(&client, "statefulset-controller"),
        client,
        clock: context.clock(),
        sets: sets.clone(),
        pods: pods.clone(),
        claims: claims.clone(),
        revisions: revisions.clone(),
        failures: FailedPods::new(context.clock(), failures::CAP),
    };
    let of_pods = sets.clone();
    let of_claims = sets.clone();
    Controller::new("statefulset-controller")
        .watch_own(&sets)
        .watch(&pods, move |event| pod_changed(event, &of_pods))
        .watch(&claims, move |event| claim_changed(event, &of_claims))
        .requires(&revisions)
        .run(reconciler, &context.statuses, &context.tasks);
}

fn owner(pod: &Obj) -> Option<Key> {
    let owner = pod.controller()?;
    let is_of_apps = owner.api_version.starts_with("apps/");
    if !is_of_apps || owner.kind != "StatefulSet" {
        return None;
    }
    Some(key(pod.namespace(), &owner.name))
}

fn pod_changed(event: &InformerEvent, sets: &Informer) -> Vec<Key> {
    let pod = event.object();
    if let Some(owner) = owner(pod) {
        return vec![owner];
    }
    if pod.controller().is_some() || event.is_deleted() {
        return Vec::new();
    }
    let labels = &pod.meta().labels;
    let could_own = |set: &Object| {
        let is_named = ordinal_of(set.name(), pod.name()).is_some();
        is_named && selector::selects(set, labels)
    };
    sets.in_namespace(pod.namespace())
        .into_iter()
        .filter(could_own)
        .map(|set| set.key().clone())
        .collect()
}

/// A Pod may wait for a deleted claim to be created again.
fn claim_changed(event: &InformerEvent, sets: &Informer) -> Vec<Key> {
    if !event.is_deleted() {
        return Vec::new();
    }
    let claim = event.object();
    let mut keys = Vec::new();
    for set in sets.in_namespace(claim.namespace()) {
        let part = format!("-{}-", set.name());
        if claim.name().contains(&part) {
            keys.push(set.key().clone());
        }
    }
    keys
}

impl Reconciler for StatefulSetController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(object) = self.sets.get(key) else {
            return Ok(Outcome::Done);
        };
        let selector = selector::of(&object)?;
        if selector.is_empty() {
            return Ok(Outcome::Done);
        }
        let history = self.history(&object, &selector).await?;
        let set = StatefulSet::read(&object);
        let members = self.members(&set, &selector).await?;
        self.pass(&set, members, history).await
    }
}

impl StatefulSetController {
    /// The set's Pods by ordinal.
    async fn members(
        &self,
        set: &StatefulSet,
        selector: &LabelSelector,
    ) -> Result<Vec<Member>, Error> {
        let set_name = set.object.name();
        let namespace = set.object.namespace();
        let mut candidates = self.pods.by_index(BY_OWNER, set.object.uid());
        let orphans = self.pods.by_index(ORPHANS, namespace);
        candidates.extend(orphans);
        candidates.retain(|pod| ordinal_of(set_name, pod.name()).is_some());
        let manager = ControllerRefManager {
            client: &self.client,
            owner: &set.object,
            owner_resource: &STATEFUL_SETS,
            selector,
            resource: &PODS,
            finalizer: None,
        };
        let claimed = manager.claim(candidates).await?;
        let now = self.clock.now();
        let mut members: Vec<Member> = claimed
            .into_iter()
            .filter_map(|pod| Member::read(set, pod, now))
            .collect();
        members.sort_by_key(|member| member.ordinal);
        Ok(members)
    }

    /// The set's revisions, those among them that a set of the same name left behind.
    async fn history(
        &self,
        object: &Object,
        selector: &LabelSelector,
    ) -> Result<Vec<Object>, Error> {
        let mut candidates = self.revisions.by_index(BY_OWNER, object.uid());
        candidates.extend(self.revisions.by_index(ORPHANS, object.namespace()));
        let manager = ControllerRefManager {
            client: &self.client,
            owner: object,
            owner_resource: &STATEFUL_SETS,
            selector,
            resource: &CONTROLLER_REVISIONS,
            finalizer: None,
        };
        manager.claim(candidates).await
    }
}
