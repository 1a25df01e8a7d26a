//! The ReplicaSet of the present template: found, brought up to date, or made.

use k3s_client::Object;
use k3s_client::resources::{DEPLOYMENTS, REPLICA_SETS};
use k3s_meta::object::{annotation, annotations};
use k3s_meta::{object, tree};
use k3s_reconcile::Error;
use serde_json::{Map, Value, json};

use super::DeploymentController;
use super::history::next_revision;
use super::model::{
    DESIRED_REPLICAS, Deployment, HASH_LABEL, MAX_REPLICAS, REVISION, REVISION_HISTORY, Set, Sets,
    without_hash,
};
use super::plan::new_size;
use super::progress;
use crate::common::condition::Condition;
use crate::common::template::controller_reference;
use crate::common::{hash, write};
use crate::error::ControllerError;

/// Annotations of a Deployment that its sets do not inherit.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.rollbackTo",
];

/// The result of the search for the new set.
pub(super) enum Found {
    /// It exists, as it should be.
    Ready(Box<Sets>),
    /// Something was written that will bring the controller back.
    Wrote,
}

impl DeploymentController {
    /// Finds or makes the new set and keeps the Deployment's revision in step.
    pub(super) async fn ensure_new(
        &self,
        deployment: &Deployment,
        mut sets: Sets,
        create: bool,
    ) -> Result<Found, Error> {
        let revision = next_revision(&sets);
        let Some(new) = sets.new.take() else {
            return if create {
                self.make(deployment, &sets, revision).await
            } else {
                Ok(Found::Ready(Box::new(sets)))
            };
        };
        let (new, changed) = self.refresh(deployment, new, revision).await?;
        let found = Condition::new(
            "Progressing",
            "True",
            "FoundNewReplicaSet",
            format!("Found new replica set \"{}\"", new.name()),
        );
        let in_step = self.announce(deployment, &new, &found).await?;
        sets.new = Some(new);
        Ok(if changed || !in_step {
            Found::Wrote
        } else {
            Found::Ready(Box::new(sets))
        })
    }

    /// Revision, inherited annotations and `minReadySeconds` of the set follow the Deployment.
    async fn refresh(
        &self,
        deployment: &Deployment,
        new: Set,
        revision: i64,
    ) -> Result<(Set, bool), Error> {
        let mut value = new.object.value().clone();
        for (name, text) in inherited(deployment) {
            object::set_annotation(&mut value, &name, text);
        }
        let own = new.revision();
        if own < revision {
            object::set_annotation(&mut value, REVISION, revision.to_string());
            if own > 0 {
                let history = match annotation(&value, REVISION_HISTORY) {
                    Some(history) => format!("{history},{own}"),
                    None => own.to_string(),
                };
                object::set_annotation(&mut value, REVISION_HISTORY, history);
            }
        }
        let wanted = deployment.min_ready_seconds;
        let present = tree::int(&value, "spec.minReadySeconds").unwrap_or(0);
        if present != wanted {
            tree::set(&mut value, "spec.minReadySeconds", wanted);
        }
        if value == *new.object.value() {
            return Ok((new, false));
        }
        let object = self
            .client
            .update(&REPLICA_SETS, new.object.ns(), &value)
            .await?;
        Ok((Set::read(&object), true))
    }

    /// Puts the set's revision on the Deployment and notes progress. True when nothing had to be
    /// written.
    async fn announce(
        &self,
        deployment: &Deployment,
        new: &Set,
        what: &Condition,
    ) -> Result<bool, Error> {
        let renumbered = self.follow_revision(deployment, new).await?;
        let stamp = self.clock.now_rfc3339();
        let Some(conditions) = progress::announce(deployment, what, &stamp) else {
            return Ok(renumbered.is_none());
        };
        let target = renumbered.as_ref().unwrap_or(&deployment.object);
        let mut status = target
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        tree::set(&mut status, "conditions", conditions);
        let noted = write::status(&self.client, &DEPLOYMENTS, target, status).await?;
        Ok(renumbered.is_none() && noted.is_none())
    }

    /// The Deployment after the set's revision was written to it; nothing where it has it already.
    async fn follow_revision(
        &self,
        deployment: &Deployment,
        new: &Set,
    ) -> Result<Option<Object>, Error> {
        let revision = new.revision().to_string();
        if annotation(deployment.value(), REVISION) == Some(&revision) {
            return Ok(None);
        }
        let mut value = deployment.value().clone();
        object::set_annotation(&mut value, REVISION, revision);
        let written = self
            .client
            .update(&DEPLOYMENTS, deployment.object.ns(), &value)
            .await?;
        Ok(Some(written))
    }

    async fn make(
        &self,
        deployment: &Deployment,
        sets: &Sets,
        revision: i64,
    ) -> Result<Found, Error> {
        let body = new_set(deployment, sets, revision);
        let name = object::name(&body).to_owned();
        let replicas = new_size(deployment, sets);
        match self
            .client
            .create(&REPLICA_SETS, deployment.object.ns(), &body)
            .await
        {
            Ok(made) => {
                if replicas > 0 {
                    let message = format!("Scaled up replica set {name} from 0 to {replicas}");
                    self.recorder
                        .normal(&*deployment.object, "ScalingReplicaSet", message);
                }
                let what = Condition::new(
                    "Progressing",
                    "True",
                    "NewReplicaSetCreated",
                    format!("Created new replica set \"{name}\""),
                );
                self.announce(deployment, &Set::read(&made), &what).await?;
                Ok(Found::Wrote)
            }
            Err(error) if error.is_already_exists() => {
                self.collided(deployment, &name, error).await
            }
            Err(error) if error.is_namespace_terminating() => Ok(Found::Wrote),
            Err(error) => {
                let message = format!("Failed to create new replica set \"{name}\": {error}");
                self.recorder
                    .warning(&*deployment.object, "ReplicaSetCreateError", &message);
                let what = Condition::new("Progressing", "False", "ReplicaSetCreateError", message);
                if let Some(conditions) =
                    progress::announce(deployment, &what, &self.clock.now_rfc3339())
                {
                    let mut status = deployment
                        .value()
                        .get("status")
                        .cloned()
                        .unwrap_or_else(|| json!({}));
                    tree::set(&mut status, "conditions", conditions);
                    write::status(&self.client, &DEPLOYMENTS, &deployment.object, status).await?;
                }
                Err(error.into())
            }
        }
    }

    /// The name is taken: by our own set that the cache lags behind, or by a different template
    /// with the same hash, which takes a new hash.
    async fn collided(
        &self,
        deployment: &Deployment,
        name: &str,
        error: k3s_client::Error,
    ) -> Result<Found, Error> {
        let there = self
            .client
            .get(&REPLICA_SETS, deployment.object.ns(), name)
            .await?;
        let uid = deployment.object.uid();
        let is_ours = there.controller().is_some_and(|owner| owner.uid == uid);
        let wanted = without_hash(deployment.template());
        let template = tree::get(there.value(), "spec.template").map(without_hash);
        if is_ours && template.is_some_and(|template| tree::same(&template, &wanted)) {
            return Err(ControllerError::CacheBehind(name.to_owned()).into());
        }
        let mut status = deployment
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let collisions = deployment.collisions() + 1;
        tree::set(&mut status, "collisionCount", collisions);
        write::status(&self.client, &DEPLOYMENTS, &deployment.object, status).await?;
        Err(error.into())
    }
}

fn inherited(deployment: &Deployment) -> Vec<(String, String)> {
    annotations(deployment.value())
        .into_iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .collect()
}

fn new_set(deployment: &Deployment, sets: &Sets, revision: i64) -> Value {
    let hash = hash::template(deployment.template(), deployment.collisions());
    let mut template = deployment.template().clone();
    object::set_label(&mut template, HASH_LABEL, hash.as_str());
    let labels = tree::get(&template, "metadata.labels").cloned();
    let mut selector = tree::get(deployment.value(), "spec.selector")
        .cloned()
        .unwrap_or_else(|| json!({}));
    if let Some(labels) = tree::ensure(&mut selector, "matchLabels") {
        labels.insert(HASH_LABEL.to_owned(), hash.as_str().into());
    }
    let mut spec = json!({
        "replicas": new_size(deployment, sets),
        "selector": selector,
        "template": template,
    });
    if deployment.min_ready_seconds > 0 {
        tree::set(&mut spec, "minReadySeconds", deployment.min_ready_seconds);
    }
    let owner = controller_reference(&deployment.object, &DEPLOYMENTS);
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment.object.name()),
            "namespace": deployment.object.namespace(),
            "labels": labels,
            "annotations": set_annotations(deployment, revision),
            "ownerReferences": [owner],
        },
        "spec": spec,
    })
}

fn set_annotations(deployment: &Deployment, revision: i64) -> Map<String, Value> {
    let mut annotations = Map::new();
    for (name, text) in inherited(deployment) {
        annotations.insert(name, text.into());
    }
    for (name, number) in [
        (REVISION, revision),
        (DESIRED_REPLICAS, deployment.replicas),
        (MAX_REPLICAS, deployment.max_total()),
    ] {
        let text = number.to_string();
        annotations.insert(name.to_owned(), text.into());
    }
    annotations
}
