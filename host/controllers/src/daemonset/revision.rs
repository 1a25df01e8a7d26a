//! ControllerRevisions: the templates of the past, for `kubectl rollout undo`.
//!
//! Compared as trees, never as bytes.

use std::collections::BTreeSet;

use k3s_client::informer::BY_OWNER;
use k3s_client::resources::{CONTROLLER_REVISIONS, DAEMON_SETS};
use k3s_client::{DeleteParams, Object, Patch, uid_is};
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::{Value, json};

use super::DaemonSetController;
use super::model::{DaemonSet, HASH_LABEL};
use crate::common::number::length;
use crate::common::template::controller_reference;
use crate::common::{hash, write};

impl DaemonSetController {
    /// The hash of the present template, after its revision exists and is the newest.
    pub(super) async fn current_hash(
        &self,
        daemon: &DaemonSet,
        pods: &[Object],
    ) -> Result<String, Error> {
        let mut history = self.revisions.by_index(BY_OWNER, daemon.object.uid());
        history.sort_by_key(number);
        let data = data(daemon.template());
        let newest = history.last().map_or(0, number);
        let present = history
            .iter()
            .rev()
            .find(|revision| tree::get(revision.value(), "data") == Some(&data));
        let hash = match present {
            Some(found) => {
                if number(found) < newest {
                    self.renumber(found, newest + 1).await?;
                }
                let hash = found.label(HASH_LABEL);
                hash.unwrap_or_default().to_owned()
            }
            None => self.make_revision(daemon, data, newest + 1).await?,
        };
        self.trim_history(daemon, &history, pods, &hash).await?;
        Ok(hash)
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

    async fn make_revision(
        &self,
        daemon: &DaemonSet,
        data: Value,
        number: i64,
    ) -> Result<String, Error> {
        let hash = hash::template(daemon.template(), daemon.collisions());
        let name = format!("{}-{hash}", daemon.object.name());
        let namespace = daemon.object.ns();
        let generation = daemon.object.meta().generation.to_string();
        let mut labels = tree::map(daemon.template(), "metadata.labels").clone();
        // The key has dots, which a path would take as separators.
        labels.insert(HASH_LABEL.to_owned(), hash.as_str().into());
        let body = json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": labels,
                "annotations": {
                    "deprecated.daemonset.template.generation": generation,
                },
                "ownerReferences": [controller_reference(&daemon.object, &DAEMON_SETS)],
            },
            "data": data,
            "revision": number,
        });
        let made = self
            .client
            .create(&CONTROLLER_REVISIONS, namespace, &body)
            .await;
        let taken = match made {
            Ok(_) => return Ok(hash),
            Err(error) if error.is_already_exists() => error,
            Err(error) => return Err(error.into()),
        };
        let there = self
            .client
            .get(&CONTROLLER_REVISIONS, namespace, &name)
            .await?;
        if tree::get(there.value(), "data") == body.get("data") {
            return Ok(hash);
        }
        // Another template has this hash: the next try takes another.
        self.count_collision(daemon).await?;
        Err(taken.into())
    }

    async fn count_collision(&self, daemon: &DaemonSet) -> Result<(), Error> {
        let mut status = daemon
            .object
            .value()
            .get("status")
            .cloned()
            .unwrap_or_else(|| json!({}));
        let collisions = daemon.collisions() + 1;
        tree::set(&mut status, "collisionCount", collisions);
        write::status(&self.client, &DAEMON_SETS, &daemon.object, status).await?;
        Ok(())
    }

    async fn trim_history(
        &self,
        daemon: &DaemonSet,
        history: &[Object],
        pods: &[Object],
        current: &str,
    ) -> Result<(), Error> {
        let mut used: BTreeSet<&str> = pods
            .iter()
            .filter_map(|pod| pod.label(HASH_LABEL))
            .collect();
        used.insert(current);
        let old: Vec<&Object> = history
            .iter()
            .filter(|revision| {
                let hash = revision.label(HASH_LABEL).unwrap_or_default();
                !used.contains(hash)
            })
            .collect();
        let limit = length(daemon.history_limit);
        let surplus = old.len().saturating_sub(limit);
        for revision in old.into_iter().take(surplus) {
            self.drop_revision(revision).await?;
        }
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

fn number(revision: &Object) -> i64 {
    tree::int(revision.value(), "revision").unwrap_or(0)
}

/// A strategic patch that puts the template back, as upstream stores it.
fn data(template: &Value) -> Value {
    let mut template = template.clone();
    tree::set(&mut template, "$patch", "replace");
    json!({"spec": {"template": template}})
}
