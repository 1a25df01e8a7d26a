//! ControllerRevisions: the templates of the past, for Pods below a partition and for
//! `kubectl rollout undo`. Compared as trees, never as bytes.

use k3s_client::resources::{CONTROLLER_REVISIONS, STATEFUL_SETS};
use k3s_client::{DeleteParams, Object, Patch, uid_is};
use k3s_meta::object::annotations;
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::{Value, json};

use super::StatefulSetController;
use super::model::{Member, StatefulSet};
use crate::common::template::controller_reference;
use crate::common::{hash, number, write};

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// A template of the set and its name.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) template: Value,
}

/// The two revisions a set has Pods of.
pub(super) struct Revisions {
    pub(super) current: Revision,
    pub(super) update: Revision,
}

impl Revision {
    fn read(object: &Object) -> Self {
        let mut template = tree::get(object.value(), "data.spec.template")
            .cloned()
            .unwrap_or(Value::Null);
        tree::remove(&mut template, "$patch");
        Self {
            name: object.name().to_owned(),
            template,
        }
    }
}

impl StatefulSetController {
    /// The revision being replaced and the newest one, which is made if there is none of the
    /// present template; surplus ones are deleted.
    pub(super) async fn revisions(
        &self,
        owner: &StatefulSet,
        mut history: Vec<Object>,
        members: &[Member],
    ) -> Result<Revisions, Error> {
        history.sort_by_key(|revision| {
            let created = revision.meta().creation_timestamp.clone();
            (number_of(revision), created)
        });
        let data = data(owner.template());
        let newest = history.last().map_or(0, number_of);
        let present = history
            .iter()
            .rev()
            .find(|revision| tree::get(revision.value(), "data") == Some(&data));
        let update = match present {
            Some(found) => {
                if number_of(found) < newest {
                    self.renumber(found, newest + 1).await?;
                }
                Revision::read(found)
            }
            None => self.make_revision(owner, data, newest + 1).await?,
        };
        let named = tree::text(owner.object.value(), "status.currentRevision");
        let current = match history.iter().find(|revision| revision.name() == named) {
            Some(found) => Revision::read(found),
            None => update.clone(),
        };
        let revisions = Revisions { current, update };
        self.trim_history(owner, &revisions, &history, members)
            .await?;
        Ok(revisions)
    }

    async fn renumber(&self, revision: &Object, number: i64) -> Result<(), Error> {
        let patch = Patch::Merge(json!({"revision": number}));
        self.client
            .patch(
                &CONTROLLER_REVISIONS,
                revision.ns(),
                revision.name(),
                &patch,
            )
            .await?;
        Ok(())
    }

    async fn trim_history(
        &self,
        owner: &StatefulSet,
        revisions: &Revisions,
        history: &[Object],
        members: &[Member],
    ) -> Result<(), Error> {
        let is_in_use = |name: &str| {
            name == revisions.update.name
                || name == revisions.current.name
                || members.iter().any(|member| member.revision == name)
        };
        let old: Vec<&Object> = history
            .iter()
            .filter(|revision| !is_in_use(revision.name()))
            .collect();
        let limit = number::length(owner.history_limit);
        let surplus = old.len().saturating_sub(limit);
        for revision in old.into_iter().take(surplus) {
            self.drop_revision(revision).await?;
        }
        Ok(())
    }

    async fn make_revision(
        &self,
        owner: &StatefulSet,
        data: Value,
        number: i64,
    ) -> Result<Revision, Error> {
        let hash = hash::template(owner.template(), owner.collisions());
        let name = format!("{}-{hash}", owner.object.name());
        let namespace = owner.object.ns();
        let mut labels = tree::map(owner.template(), "metadata.labels").clone();
        // The key has dots, which a path would take as separators.
        labels.insert(HASH_LABEL.to_owned(), hash.as_str().into());
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                // The change cause that `kubectl rollout history` shows is among them.
                "annotations": annotations(owner.object.value()),
                "ownerReferences": [controller_reference(&owner.object, &STATEFUL_SETS)],
            },
            "data": data,
            "revision": number,
        });
        let made = self
            .client
            .create(&CONTROLLER_REVISIONS, namespace, &body)
            .await;
        let taken = match made {
            Ok(made) => return Ok(Revision::read(&made)),
            Err(error) if error.is_already_exists() => error,
            Err(error) => return Err(error.into()),
        };
        let there = self
            .client
            .get(&CONTROLLER_REVISIONS, namespace, &name)
            .await?;
        if tree::get(there.value(), "data") == body.get("data") {
            return Ok(Revision::read(&there));
        }
        // Another template has this hash: the next try takes another.
        self.count_collision(owner).await?;
        Err(taken.into())
    }

    async fn count_collision(&self, owner: &StatefulSet) -> Result<(), Error> {
        let mut status = owner
            .object
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let collisions = owner.collisions() + 1;
        tree::set(&mut status, "collisionCount", collisions);
        write::status(&self.client, &STATEFUL_SETS, &owner.object, status).await?;
        Ok(())
    }

    async fn drop_revision(&self, revision: &Object) -> Result<(), Error> {
        let params = DeleteParams::background().preconditions(uid_is(revision.uid()));
        let deleted = self
            .client
            .delete(
                &CONTROLLER_REVISIONS,
                revision.ns(),
                revision.name(),
                &params,
            )
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn number_of(revision: &Object) -> i64 {
    tree::int(revision.value(), "revision").unwrap_or(0)
}

/// A strategic patch that puts the template back, as upstream stores it.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    tree::set(&mut template, "$patch", "replace");
    json!({"spec": {"template": template}})
}
