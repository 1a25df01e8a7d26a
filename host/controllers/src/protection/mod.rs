//! Protection of what is in use: a claim is deleted only when no pod uses it, a volume only when
//! no claim is bound to it. Admission adds the finalizers; these controllers take them away.
//!
//! Upstream: `pkg/controller/volume/pvcprotection` and `pvprotection`.

use k3s_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use k3s_client::{Client, Informer, InformerEvent, ListParams, Obj, Object, Resource, key};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use k3s_volume::{claims_of_pod, names};

use crate::context::Context;

/// Index of scheduled Pods by the claims they use: `namespace/claim`.
const BY_CLAIM: &str = "claim";

pub(crate) fn start(context: &Context) {
    start_claims(context);
    start_volumes(context);
}

struct ClaimProtectionController {
    client: Client,
    claims: Informer,
    pods: Informer,
}

fn start_claims(context: &Context) {
    let claims = context.informers.all(&PERSISTENT_VOLUME_CLAIMS);
    let pods = context.informers.all(&PODS);
    pods.add_index(BY_CLAIM, users);
    let reconciler = ClaimProtectionController {
        client: context.client("pvc-protection-controller"),
        claims: claims.clone(),
        pods: pods.clone(),
    };
    Controller::new("persistentvolumeclaim-protection-controller")
        .watch_own(&claims)
        .watch(&pods, pod_changed)
        .run(reconciler, &context.statuses, &context.tasks);
}

/// A Pod that has no node yet uses nothing: the kubelet refuses claims that are being deleted.
fn users(pod: &Obj) -> Vec<String> {
    if tree::text(pod.value(), "spec.nodeName").is_empty() {
        return Vec::new();
    }
    let key_of = |name: String| format!("{}/{name}", pod.namespace());
    claims_of_pod(pod.value())
        .into_iter()
        .map(|claim| key_of(claim.name))
        .collect()
}

/// Only a Pod that is gone frees a claim.
fn pod_changed(event: &InformerEvent) -> Vec<Key> {
    if !event.is_deleted() {
        return Vec::new();
    }
    let pod = event.object();
    claims_of_pod(pod.value())
        .into_iter()
        .map(|claim| key(pod.namespace(), &claim.name))
        .collect()
}

impl Reconciler for ClaimProtectionController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(claim) = self.claims.get(key) else {
            return Ok(Outcome::Done);
        };
        if claim.is_deleting() && claim.has_finalizer(names::CLAIM_PROTECTION) {
            let in_use = !self.pods.by_index(BY_CLAIM, key).is_empty()
                || self.is_used_by_any(&claim).await?;
            if !in_use {
                unprotect(
                    &self.client,
                    &PERSISTENT_VOLUME_CLAIMS,
                    &claim,
                    names::CLAIM_PROTECTION,
                )
                .await?;
            }
        } else if !claim.is_deleting() && !claim.has_finalizer(names::CLAIM_PROTECTION) {
            protect(
                &self.client,
                &PERSISTENT_VOLUME_CLAIMS,
                &claim,
                names::CLAIM_PROTECTION,
            )
            .await?;
        }
        Ok(Outcome::Done)
    }
}

impl ClaimProtectionController {
    /// The cache may lag; data may be deleted on this answer, so the server is asked too.
    async fn is_used_by_any(&self, claim: &Object) -> Result<bool, Error> {
        let everything = ListParams::default();
        let pods = self.client.list_all(&PODS, claim.ns(), &everything).await?;
        for pod in &pods.items {
            for used in users(pod) {
                if *used == **claim.key() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

struct VolumeProtectionController {
    client: Client,
    volumes: Informer,
}

fn start_volumes(context: &Context) {
    let volumes = context.informers.all(&PERSISTENT_VOLUMES);
    let reconciler = VolumeProtectionController {
        client: context.client("pv-protection-controller"),
        volumes: volumes.clone(),
    };
    Controller::new("persistentvolume-protection-controller")
        .watch_own(&volumes)
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for VolumeProtectionController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(volume) = self.volumes.get(key) else {
            return Ok(Outcome::Done);
        };
        let bound = tree::text(volume.value(), "status.phase") == "Bound";
        let protected = volume.has_finalizer(names::VOLUME_PROTECTION);
        if volume.is_deleting() && protected && !bound {
            unprotect(
                &self.client,
                &PERSISTENT_VOLUMES,
                &volume,
                names::VOLUME_PROTECTION,
            )
            .await?;
        } else if !volume.is_deleting() && !protected {
            protect(
                &self.client,
                &PERSISTENT_VOLUMES,
                &volume,
                names::VOLUME_PROTECTION,
            )
            .await?;
        }
        Ok(Outcome::Done)
    }
}

async fn protect(
    client: &Client,
    resource: &Resource,
    object: &Object,
    finalizer: &str,
) -> Result<(), Error> {
    let mut all = object.meta().finalizers.clone();
    all.push(finalizer.to_owned());
    write(client, resource, object, all).await
}

async fn unprotect(
    client: &Client,
    resource: &Resource,
    object: &Object,
    finalizer: &str,
) -> Result<(), Error> {
    let left = object
        .meta()
        .finalizers
        .iter()
        .filter(|f| *f != finalizer)
        .cloned()
        .collect();
    write(client, resource, object, left).await
}

async fn write(
    client: &Client,
    resource: &Resource,
    object: &Object,
    finalizers: Vec<String>,
) -> Result<(), Error> {
    let mut changed = object.value().clone();
    tree::set(&mut changed, "metadata.finalizers", finalizers);
    let written = client.update(resource, object.ns(), &changed).await;
    match written {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
