//! The volume binder: brings claims and persistent volumes together, asks provisioners for volumes
//! that do not exist yet, and releases volumes whose claim is gone.
//!
//! Watches claims, volumes and storage classes. One worker: two claims must not choose the same
//! volume; that another party chose it meanwhile is noticed by the resource version. A key with a
//! namespace is a claim's, one without a volume's. Upstream: `pkg/controller/volume/persistentvolume`.

mod apply;
mod claim;
mod volume;

use k3s_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Obj, Object, key};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use k3s_volume::{class_of, is_fully_bound};

use crate::context::Context;

struct PersistentVolumeController {
    client: Client,
    clock: k3s_base::Clock,
    recorder: EventRecorder,
    claims: Informer,
    volumes: Informer,
    classes: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("persistent-volume-binder");
    let claims = context.informers.all(&PERSISTENT_VOLUME_CLAIMS);
    let volumes = context.informers.all(&PERSISTENT_VOLUMES);
    let classes = context.informers.all(&STORAGE_CLASSES);
    let reconciler = PersistentVolumeController {
        recorder: context.recorder(&client, "persistentvolume-controller"),
        client,
        clock: context.clock(),
        claims: claims.clone(),
        volumes: volumes.clone(),
        classes: classes.clone(),
    };
    let of_volumes = claims.clone();
    let of_classes = claims.clone();
    Controller::new("persistentvolume-binder-controller")
        .workers(1)
        .watch(&claims, claim_changed)
        .watch(&volumes, move |event| volume_changed(event, &of_volumes))
        .watch(&classes, move |event| class_changed(event, &of_classes))
        .run(reconciler, &context.statuses, &context.tasks);
}

/// A claim concerns itself and its volume, which may have to be released.
fn claim_changed(event: &InformerEvent) -> Vec<Key> {
    let claim = event.object();
    let mut keys = Vec::new();
    if !event.is_deleted() {
        keys.push(claim.key().clone());
    }
    let volume = k3s_volume::volume_name(claim.value());
    if !volume.is_empty() {
        keys.push(volume.into());
    }
    keys
}

/// A volume concerns itself, its claim, and while it is free every claim that waits for one.
fn volume_changed(event: &InformerEvent, claims: &Informer) -> Vec<Key> {
    let volume = event.object();
    let mut keys = Vec::new();
    if !event.is_deleted() {
        keys.push(volume.key().clone());
    }
    match claim_key(volume) {
        Some(claim) => keys.push(claim),
        None => keys.extend(waiting(claims, |claim| {
            class_of(claim.value()) == class_of(volume.value())
        })),
    }
    keys
}

fn class_changed(event: &InformerEvent, claims: &Informer) -> Vec<Key> {
    let class = event.object().name();
    waiting(claims, |claim| {
        class_of(claim.value()) == class || !k3s_volume::has_class(claim.value())
    })
}

fn waiting(claims: &Informer, concerns: impl Fn(&Object) -> bool) -> Vec<Key> {
    let mut keys = Vec::new();
    for claim in claims.list() {
        if is_fully_bound(claim.value()) {
            continue;
        }
        if concerns(&claim) {
            keys.push(claim.key().clone());
        }
    }
    keys
}

/// The claim that a volume is reserved for or bound to.
fn claim_key(volume: &Obj) -> Option<Key> {
    let namespace = tree::text(volume.value(), "spec.claimRef.namespace");
    let name = tree::text(volume.value(), "spec.claimRef.name");
    if name.is_empty() {
        return None;
    }
    Some(key(namespace, name))
}

impl Reconciler for PersistentVolumeController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        if key.contains('/') {
            match self.claims.get(key) {
                Some(claim) => self.sync_claim(&claim).await?,
                None => return Ok(Outcome::Done),
            }
        } else if let Some(volume) = self.volumes.get(key) {
            self.sync_volume(&volume).await?;
        }
        Ok(Outcome::Done)
    }
}
