//! Carries the decisions out. Each write starts from the object it was decided on and is refused
//! by the server when that changed; the next pass then sees the new state.

use k3s_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use k3s_client::{EventType, Obj, Object, split_key};
use k3s_meta::object::annotation;
use k3s_meta::{object, tree};
use k3s_reconcile::Error;
use k3s_volume::{is_bound_to, names, volume_name};
use serde_json::{Value, json};

use super::claim::{Decision, News, View};
use super::{PersistentVolumeController, claim, claim_key, volume};
use crate::common::write;

impl PersistentVolumeController {
    pub(super) async fn sync_claim(&self, object: &Object) -> Result<(), Error> {
        let volumes = self.volumes.list();
        let classes = self.classes.list();
        let view = View {
            volumes: &volumes,
            classes: &classes,
        };
        match claim::decide(object, &view) {
            Decision::Bind(volume) => self.bind(object, &volume).await,
            Decision::Provision(provisioner) => self.ask_provisioner(object, &provisioner).await,
            Decision::SetClass(class) => {
                let mut changed = object.value().clone();
                tree::set(&mut changed, "spec.storageClassName", class);
                self.client
                    .update(&PERSISTENT_VOLUME_CLAIMS, object.ns(), &changed)
                    .await?;
                Ok(())
            }
            Decision::Wait(news) => {
                self.announce(object, news);
                self.claim_phase(object, "Pending").await
            }
            Decision::Lose(news) => {
                if tree::text(object.value(), "status.phase") != "Lost" {
                    self.announce(object, Some(news));
                }
                self.claim_phase(object, "Lost").await
            }
            Decision::Nothing => Ok(()),
        }
    }

    fn announce(&self, about: &Object, news: Option<News>) {
        if let Some(News(kind, reason, message)) = news {
            self.recorder.event(&**about, kind, reason, message);
        }
    }

    async fn claim_phase(&self, claim: &Object, phase: &str) -> Result<(), Error> {
        if tree::text(claim.value(), "status.phase") == phase {
            return Ok(());
        }
        let mut status = claim
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        tree::set(&mut status, "phase", phase);
        write::status(&self.client, &PERSISTENT_VOLUME_CLAIMS, claim, status).await?;
        Ok(())
    }

    /// Volume first, then the claim: a crash between leaves the volume reserved, and the next pass
    /// goes on from there.
    async fn bind(&self, claim: &Object, volume: &Object) -> Result<(), Error> {
        let volume = self.reserve(claim, volume).await?;
        self.volume_phase(&volume, "Bound", None).await?;
        let claim = self.point_to(claim, &volume).await?;
        if tree::text(claim.value(), "status.phase") == "Bound" {
            return Ok(());
        }
        let mut status = claim
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        tree::set(&mut status, "phase", "Bound");
        for field in ["accessModes", "capacity"] {
            let granted = tree::get(volume.value(), &format!("spec.{field}"))
                .cloned()
                .unwrap_or(Value::Null);
            tree::set(&mut status, field, granted);
        }
        write::status(&self.client, &PERSISTENT_VOLUME_CLAIMS, &claim, status).await?;
        Ok(())
    }

    /// The volume's side: `claimRef` with the claim's uid.
    async fn reserve(&self, claim: &Object, volume: &Object) -> Result<Object, Error> {
        if tree::text(volume.value(), "spec.claimRef.uid") == claim.uid() {
            return Ok(volume.clone());
        }
        let chosen_by_user = is_bound_to(volume.value(), claim.value());
        let mut changed = volume.value().clone();
        let reference = json!({
            "kind": "PersistentVolumeClaim",
            "apiVersion": "v1",
            "namespace": claim.namespace(),
            "name": claim.name(),
            "uid": claim.uid(),
            "resourceVersion": claim.resource_version(),
        });
        tree::set(&mut changed, "spec.claimRef", reference);
        if !chosen_by_user {
            object::set_annotation(&mut changed, names::BOUND_BY_CONTROLLER, "yes");
        }
        Ok(self
            .client
            .update(&PERSISTENT_VOLUMES, None, &changed)
            .await?)
    }

    /// The claim's side: `volumeName`, and that the binding is complete.
    async fn point_to(&self, claim: &Object, volume: &Obj) -> Result<Object, Error> {
        let named = volume_name(claim.value());
        let is_completed = annotation(claim.value(), names::BIND_COMPLETED).is_some();
        if is_completed && named == volume.name() {
            return Ok(claim.clone());
        }
        let mut changed = claim.value().clone();
        if named.is_empty() {
            tree::set(&mut changed, "spec.volumeName", volume.name());
            object::set_annotation(&mut changed, names::BOUND_BY_CONTROLLER, "yes");
        }
        object::set_annotation(&mut changed, names::BIND_COMPLETED, "yes");
        let written = self
            .client
            .update(&PERSISTENT_VOLUME_CLAIMS, claim.ns(), &changed)
            .await?;
        Ok(written)
    }

    /// Names the provisioner on the claim, which asks it for a volume, and records an event.
    async fn ask_provisioner(&self, claim: &Object, provisioner: &str) -> Result<(), Error> {
        let named = |key| annotation(claim.value(), key) == Some(provisioner);
        if named(names::STORAGE_PROVISIONER) && named(names::STORAGE_PROVISIONER_BETA) {
            return Ok(());
        }
        let mut changed = claim.value().clone();
        for key in [names::STORAGE_PROVISIONER, names::STORAGE_PROVISIONER_BETA] {
            object::set_annotation(&mut changed, key, provisioner);
        }
        let changed = self
            .client
            .update(&PERSISTENT_VOLUME_CLAIMS, claim.ns(), &changed)
            .await?;
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
        );
        self.recorder
            .normal(&*changed, "ExternalProvisioning", message);
        Ok(())
    }

    pub(super) async fn sync_volume(&self, object: &Object) -> Result<(), Error> {
        let claim = self.claim_of(object).await?;
        match volume::decide(object, claim.as_deref()) {
            volume::Decision::Available => self.volume_phase(object, "Available", None).await,
            volume::Decision::Bound => self.volume_phase(object, "Bound", None).await,
            // The change of the volume or of the claim that led here has queued the claim too.
            volume::Decision::AskClaim => Ok(()),
            volume::Decision::Release => self.release(object).await,
            volume::Decision::Unbind(whole) => self.unbind(object, whole).await,
        }
    }

    /// The claim that the volume names, by uid. Asked of the server where the cache has none: data
    /// may be deleted on this answer.
    async fn claim_of(&self, volume: &Object) -> Result<Option<Object>, Error> {
        let uid = tree::text(volume.value(), "spec.claimRef.uid");
        let Some(key) = claim_key(volume) else {
            return Ok(None);
        };
        if uid.is_empty() {
            return Ok(None);
        }
        if let Some(cached) = self.claims.get(&key)
            && cached.uid() == uid
        {
            return Ok(Some(cached));
        }
        let (namespace, name) = split_key(&key);
        let found = self
            .client
            .get(&PERSISTENT_VOLUME_CLAIMS, Some(namespace), name)
            .await;
        match found {
            Ok(claim) if claim.uid() == uid => Ok(Some(claim)),
            Ok(_) => Ok(None),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn release(&self, volume: &Object) -> Result<(), Error> {
        let phase = tree::text(volume.value(), "status.phase");
        if let Some((reason, message)) = volume::unreclaimable(volume.value()) {
            if phase != "Failed" {
                self.recorder
                    .event(&**volume, EventType::Warning, reason, message.clone());
            }
            return self.volume_phase(volume, "Failed", Some(&message)).await;
        }
        if phase == "Failed" {
            Ok(())
        } else {
            self.volume_phase(volume, "Released", None).await
        }
    }

    async fn unbind(&self, volume: &Object, whole: bool) -> Result<(), Error> {
        let mut changed = volume.value().clone();
        if whole {
            tree::remove(&mut changed, "spec.claimRef");
            object::remove_annotation(&mut changed, names::BOUND_BY_CONTROLLER);
        } else {
            tree::remove(&mut changed, "spec.claimRef.uid");
        }
        self.client
            .update(&PERSISTENT_VOLUMES, None, &changed)
            .await?;
        Ok(())
    }

    async fn volume_phase(
        &self,
        volume: &Object,
        phase: &str,
        message: Option<&str>,
    ) -> Result<(), Error> {
        let value = volume.value();
        let same_phase = tree::text(value, "status.phase") == phase;
        let same_message = tree::text(value, "status.message") == message.unwrap_or_default();
        if same_phase && same_message {
            return Ok(());
        }
        let mut status = json!({
            "phase": phase,
            "lastPhaseTransitionTime": self.clock.now_rfc3339(),
        });
        if let Some(message) = message {
            tree::set(&mut status, "message", message);
        }
        write::status(&self.client, &PERSISTENT_VOLUMES, volume, status).await?;
        Ok(())
    }
}
