//! ControllerRevisions: the templates of the past, for `kubectl rollout undo` and for Pods below a
//! partition (upstream `pkg/controller/history`). Templates are compared as trees, never as bytes.

use std::collections::BTreeMap;

use k3s_client::resources::CONTROLLER_REVISIONS;
use k3s_client::{Client, DeleteParams, Object, Patch, Resource, uid_is};
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::{Value, json};

use super::template::controller_reference;
use super::{hash, number, write};

/// The revisions of one workload.
pub(crate) struct History<'a> {
    pub(crate) client: &'a Client,
    pub(crate) owner: &'a Object,
    pub(crate) owner_resource: &'a Resource,
    pub(crate) template: &'a Value,
    /// `status.collisionCount`: how often two templates had the same hash.
    pub(crate) collisions: i64,
    /// The label in which a revision carries its hash.
    pub(crate) hash_label: &'a str,
    /// Annotations of new revisions.
    pub(crate) annotations: BTreeMap<String, String>,
}

impl History<'_> {
    /// The revision of the present template, which is made if there is none, and is the newest
    /// afterwards. `known` is in the order of numbers.
    ///
    /// # Errors
    /// When a request fails, or another template has the same hash: the next attempt takes another.
    pub(crate) async fn ensure(&self, known: &[Object]) -> Result<Object, Error> {
        let data = data(self.template);
        let newest = known.last().map_or(0, number_of);
        let mut newest_first = known.iter().rev();
        let present = newest_first.find(|it| has_data(it, &data));
        let Some(found) = present else {
            return self.create(data, newest + 1).await;
        };
        if number_of(found) < newest {
            self.renumber(found, newest + 1).await?;
        }
        Ok(found.clone())
    }

    /// Deletes the oldest of the revisions that are not in use, beyond `limit` of them.
    ///
    /// # Errors
    /// When a request fails.
    pub(crate) async fn trim(
        &self,
        known: &[Object],
        limit: i64,
        is_in_use: impl Fn(&Object) -> bool,
    ) -> Result<(), Error> {
        let old: Vec<&Object> = known.iter().filter(|it| !is_in_use(it)).collect();
        let surplus = old.len().saturating_sub(number::length(limit));
        for revision in old.into_iter().take(surplus) {
            self.delete(revision).await?;
        }
        Ok(())
    }

    async fn renumber(&self, revision: &Object, number: i64) -> Result<(), Error> {
        let (namespace, name) = (revision.ns(), revision.name());
        let patch = Patch::Merge(json!({"revision": number}));
        self.client
            .patch(&CONTROLLER_REVISIONS, namespace, name, &patch)
            .await?;
        Ok(())
    }

    async fn create(&self, data: Value, number: i64) -> Result<Object, Error> {
        let hash = hash::template(self.template, self.collisions);
        let name = format!("{}-{hash}", self.owner.name());
        let namespace = self.owner.ns();
        let mut labels = tree::map(self.template, "metadata.labels").clone();
        // The key has dots, which a path would take as separators.
        labels.insert(self.hash_label.to_owned(), hash.as_str().into());
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": self.annotations,
                "ownerReferences": [controller_reference(self.owner, self.owner_resource)],
            },
            "data": data,
            "revision": number,
        });
        let created = self
            .client
            .create(&CONTROLLER_REVISIONS, namespace, &body)
            .await;
        let taken = match created {
            Ok(created) => return Ok(created),
            Err(error) if error.is_already_exists() => error,
            Err(error) => return Err(error.into()),
        };
        let existing = self
            .client
            .get(&CONTROLLER_REVISIONS, namespace, &name)
            .await?;
        if has_data(&existing, tree::get(&body, "data").unwrap_or(&Value::Null)) {
            return Ok(existing);
        }
        self.count_collision().await?;
        Err(taken.into())
    }

    async fn count_collision(&self) -> Result<(), Error> {
        let status = self.owner.value().get("status").cloned();
        let mut status = status.unwrap_or_else(|| json!({}));
        tree::set(&mut status, "collisionCount", self.collisions + 1);
        write::status(self.client, self.owner_resource, self.owner, status).await?;
        Ok(())
    }

    async fn delete(&self, revision: &Object) -> Result<(), Error> {
        let (namespace, name) = (revision.ns(), revision.name());
        let params = DeleteParams::background().preconditions(uid_is(revision.uid()));
        let deleted = self
            .client
            .delete(&CONTROLLER_REVISIONS, namespace, name, &params)
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// `revision` of a ControllerRevision: a higher number is a newer one.
pub(crate) fn number_of(revision: &Object) -> i64 {
    tree::int(revision.value(), "revision").unwrap_or(0)
}

/// Whether the revision was made of the same template.
fn has_data(revision: &Object, data: &Value) -> bool {
    tree::get(revision.value(), "data").is_some_and(|present| tree::same(present, data))
}

/// A strategic patch that puts the template back, as upstream stores it.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    tree::set(&mut template, "$patch", "replace");
    json!({"spec": {"template": template}})
}
