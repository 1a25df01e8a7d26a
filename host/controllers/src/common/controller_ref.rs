//! Which objects belong to a controller object: adopting orphans, releasing what no longer matches.
//!
//! Ownership is by UID. Before the first adoption the owner is read again from the server: one that
//! was deleted, or deleted and created again, must not collect the dependents of its namesake
//! (upstream `controller_ref_manager.go`).

use k3s_client::{Client, Obj, Object, Patch, Resource};
use k3s_meta::{LabelSelector, tree};
use k3s_reconcile::Error;
use serde_json::json;

use super::template::controller_reference;
use crate::error::ControllerError;

/// Finds the objects of one controller object among candidates, and makes the owner references so.
pub(crate) struct ControllerRefManager<'a> {
    pub(crate) client: &'a Client,
    pub(crate) owner: &'a Obj,
    pub(crate) owner_resource: &'a Resource,
    pub(crate) selector: &'a LabelSelector,
    /// What is claimed.
    pub(crate) resource: &'a Resource,
    /// A finalizer that adoption adds.
    pub(crate) finalizer: Option<&'a str>,
}

/// What the owner does with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    Keep,
    Adopt,
    Release,
    Leave,
}

impl ControllerRefManager<'_> {
    /// The candidates that belong to the owner, after adopting and releasing.
    pub(crate) async fn claim(&self, candidates: Vec<Object>) -> Result<Vec<Object>, Error> {
        let mut owned = Vec::with_capacity(candidates.len());
        let mut checked = false;
        for candidate in candidates {
            match decide(self.owner, self.selector, &candidate) {
                Claim::Keep => owned.push(candidate),
                Claim::Leave => {}
                Claim::Release => self.release(&candidate).await?,
                Claim::Adopt => {
                    if !checked {
                        self.check_owner().await?;
                        checked = true;
                    }
                    owned.extend(self.adopt(&candidate).await?);
                }
            }
        }
        Ok(owned)
    }

    async fn check_owner(&self) -> Result<(), Error> {
        let namespace = self.owner.ns();
        let name = self.owner.name();
        let fresh = self
            .client
            .get(self.owner_resource, namespace, name)
            .await?;
        if fresh.uid() != self.owner.uid() {
            let key = self.owner.key().clone();
            return Err(ControllerError::OwnerReplaced(key).into());
        }
        if fresh.is_deleting() {
            let key = self.owner.key().clone();
            return Err(ControllerError::OwnerDeleting(key).into());
        }
        Ok(())
    }

    async fn adopt(&self, candidate: &Obj) -> Result<Option<Object>, Error> {
        let reference = controller_reference(self.owner, self.owner_resource);
        let mut metadata = json!({
            "uid": candidate.uid(),
            "ownerReferences": [reference],
        });
        if let Some(finalizer) = self.finalizer {
            tree::set(&mut metadata, "finalizers", json!([finalizer]));
        }
        let patch = Patch::Strategic(json!({"metadata": metadata}));
        let adopted = self
            .client
            .patch(self.resource, candidate.ns(), candidate.name(), &patch)
            .await;
        ignore_gone(adopted)
    }

    async fn release(&self, candidate: &Obj) -> Result<(), Error> {
        let mut metadata = json!({
            "uid": candidate.uid(),
            "ownerReferences": [{"$patch": "delete", "uid": self.owner.uid()}],
        });
        if let (Some(finalizer), Some(map)) = (self.finalizer, metadata.as_object_mut()) {
            map.insert(
                "$deleteFromPrimitiveList/finalizers".into(),
                json!([finalizer]),
            );
        }
        let patch = Patch::Strategic(json!({"metadata": metadata}));
        let result = self
            .client
            .patch(self.resource, candidate.ns(), candidate.name(), &patch)
            .await;
        match result {
            // Another UID: the object this was about is gone.
            Err(error) if error.is_invalid() || error.is_conflict() => Ok(()),
            other => {
                ignore_gone(other)?;
                Ok(())
            }
        }
    }
}

fn ignore_gone(result: k3s_client::Result<Object>) -> Result<Option<Object>, Error> {
    match result {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn decide(owner: &Obj, selector: &LabelSelector, candidate: &Obj) -> Claim {
    let matches = selector.matches_labels(&candidate.meta().labels);
    let Some(controller) = candidate.controller() else {
        let is_going = owner.is_deleting() || candidate.is_deleting();
        if is_going || !matches {
            return Claim::Leave;
        }
        return Claim::Adopt;
    };
    if controller.uid != owner.uid() {
        return Claim::Leave;
    }
    if matches {
        return Claim::Keep;
    }
    if owner.is_deleting() {
        return Claim::Leave;
    }
    Claim::Release
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn object(meta: Value) -> Object {
        Obj::from_value(json!({ "metadata": meta })).unwrap()
    }

    #[test]
    fn ownership_is_by_uid_and_orphans_are_adopted_only_by_the_living() {
        let selector = LabelSelector::parse("app=a").unwrap();
        let owner = object(json!({"name": "o", "uid": "1"}));
        let dying =
            object(json!({"name": "o", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        let owned_by = |uid: &str| json!([{"kind": "ReplicaSet", "name": "o", "uid": uid, "controller": true}]);
        let cases = [
            (
                json!({"labels": {"app": "a"}, "ownerReferences": owned_by("1")}),
                Claim::Keep,
                Claim::Keep,
            ),
            (
                json!({"labels": {"app": "b"}, "ownerReferences": owned_by("1")}),
                Claim::Release,
                Claim::Leave,
            ),
            (
                json!({"labels": {"app": "a"}, "ownerReferences": owned_by("2")}),
                Claim::Leave,
                Claim::Leave,
            ),
            (json!({"labels": {"app": "a"}}), Claim::Adopt, Claim::Leave),
            (
                json!({"labels": {"app": "a"}, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                Claim::Leave,
                Claim::Leave,
            ),
            (json!({"labels": {"app": "b"}}), Claim::Leave, Claim::Leave),
        ];
        for (meta, living, deleted) in cases {
            let candidate = object(meta);
            assert_eq!(
                decide(&owner, &selector, &candidate),
                living,
                "{:?}",
                candidate.value()
            );
            assert_eq!(
                decide(&dying, &selector, &candidate),
                deleted,
                "{:?}",
                candidate.value()
            );
        }
    }
}
