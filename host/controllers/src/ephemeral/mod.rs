//! Generic ephemeral volumes: makes the claim that a Pod's `ephemeral` volume stands for. It
//! belongs to the Pod and is deleted with it.
//!
//! Upstream: `pkg/controller/volume/ephemeral`.

use k3s_client::resources::{PERSISTENT_VOLUME_CLAIMS, PODS};
use k3s_client::{Client, EventRecorder, Informer, InformerEvent, Obj, Object, key};
use k3s_meta::tree;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use k3s_volume::{check_ephemeral, ephemeral_claim_name};
use serde_json::{Value, json};

use crate::common::template::controller_reference;
use crate::context::Context;

struct EphemeralVolumeController {
    client: Client,
    recorder: EventRecorder,
    pods: Informer,
    claims: Informer,
}

pub(crate) fn start(context: &Context) {
    let client = context.client("ephemeral-volume-controller");
    let pods = context.informers.all(&PODS);
    let claims = context.informers.all(&PERSISTENT_VOLUME_CLAIMS);
    let reconciler = EphemeralVolumeController {
        recorder: context.recorder(&client, "ephemeral_volume"),
        client,
        pods: pods.clone(),
        claims: claims.clone(),
    };
    Controller::new("ephemeral-volume-controller")
        .watch(&pods, pod_changed)
        .watch(&claims, claim_changed)
        .run(reconciler, &context.statuses, &context.tasks);
}

fn pod_changed(event: &InformerEvent) -> Vec<Key> {
    let pod = event.object();
    let has_source = sources(pod).next().is_some();
    if event.is_deleted() || !has_source {
        return Vec::new();
    }
    vec![pod.key().clone()]
}

/// A deleted claim is created again for its Pod.
fn claim_changed(event: &InformerEvent) -> Vec<Key> {
    if !event.is_deleted() {
        return Vec::new();
    }
    let claim = event.object();
    match claim.controller() {
        Some(owner) if owner.kind == "Pod" => {
            let pod = key(claim.namespace(), &owner.name);
            vec![pod]
        }
        _ => Vec::new(),
    }
}

/// The Pod's ephemeral volumes: name and claim template.
fn sources(pod: &Obj) -> impl Iterator<Item = (&str, &Value)> {
    tree::list(pod.value(), "spec.volumes")
        .iter()
        .filter_map(|volume| {
            let template = tree::get(volume, "ephemeral.volumeClaimTemplate")?;
            Some((tree::text(volume, "name"), template))
        })
}

impl Reconciler for EphemeralVolumeController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| !pod.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        for (volume, template) in sources(&pod) {
            self.ensure(&pod, volume, template).await?;
        }
        Ok(Outcome::Done)
    }
}

impl EphemeralVolumeController {
    async fn ensure(&self, pod: &Object, volume: &str, template: &Value) -> Result<(), Error> {
        let name = ephemeral_claim_name(pod.name(), volume);
        if let Some(claim) = self.claims.get(&key(pod.namespace(), &name)) {
            return check_ephemeral(claim.value(), pod.name(), pod.uid()).map_err(Error::other);
        }
        match self
            .client
            .create(
                &PERSISTENT_VOLUME_CLAIMS,
                pod.ns(),
                &claim(pod, &name, template),
            )
            .await
        {
            Err(error) if error.is_namespace_terminating() => Ok(()),
            Err(error) => {
                let message = format!("ephemeral volume {volume}: create PVC {name}: {error}");
                self.recorder.warning(&**pod, "FailedBinding", message);
                Err(error.into())
            }
            Ok(_) => Ok(()),
        }
    }
}

fn claim(pod: &Object, name: &str, template: &Value) -> Value {
    let mut metadata = json!({
        "name": name,
        "namespace": pod.namespace(),
        "ownerReferences": [controller_reference(pod, &PODS)],
    });
    for field in ["labels", "annotations"] {
        if let Some(value) = tree::get(template, &format!("metadata.{field}")) {
            tree::set(&mut metadata, field, value.clone());
        }
    }
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": template.get("spec").cloned().unwrap_or_else(|| json!({})),
    })
}
