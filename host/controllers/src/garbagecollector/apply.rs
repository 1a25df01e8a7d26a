//! Collecting one object: live reads, then one delete or patch with preconditions.

use k3s_client::{
    DeleteParams, Error as ApiError, Obj, Object, Patch, PropagationPolicy, Resource, unchanged,
};
use k3s_meta::OwnerReference;
use k3s_reconcile::Error;
use serde_json::json;

use super::graph::Item;
use super::plan::{Owner, Verdict, verdict};
use super::{FOREGROUND, GarbageCollector};
use crate::error::ControllerError;

impl GarbageCollector {
    pub(super) async fn collect(&self, item: &Item, cached: &Obj) -> Result<(), Error> {
        let is_held = cached
            .meta()
            .owner_references
            .iter()
            .all(|owner| self.is_held(cached, owner));
        if is_held {
            return Ok(());
        }
        let Some(resource) = self.graph.resource(item) else {
            return Ok(());
        };
        let Some(live) = self.live(&resource, cached).await? else {
            return Ok(());
        };
        if live.uid() != item.uid || live.is_deleting() {
            return Ok(());
        }
        let mut states = Vec::new();
        for owner in &live.meta().owner_references {
            let state = self.owner_state(&live, owner).await?;
            states.push(state);
        }
        let dependents = self.graph.dependents(&item.uid);
        let has_dependents = !dependents.is_empty();
        match verdict(&states, has_dependents, &live) {
            Verdict::Keep => Ok(()),
            Verdict::Trim => self.trim(&resource, &live, &states).await,
            Verdict::Delete(propagation) => {
                if propagation == PropagationPolicy::Foreground {
                    self.break_cycle(&resource, &live, &dependents).await?;
                }
                self.delete(&resource, &live, propagation).await
            }
        }
    }

    async fn delete(
        &self,
        resource: &Resource,
        live: &Obj,
        propagation: PropagationPolicy,
    ) -> Result<(), Error> {
        let same_version = unchanged(live.uid(), live.resource_version());
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            ..DeleteParams::default()
        };
        let params = params.preconditions(same_version);
        let deleted = self
            .client
            .delete(resource, live.ns(), live.name(), &params)
            .await;
        settled(deleted)
    }

    /// Whether the caches show the owner, alive and in reach. Then no request is needed.
    fn is_held(&self, object: &Obj, owner: &OwnerReference) -> bool {
        let Some((_, found)) = self.graph.find(&owner.uid) else {
            return false;
        };
        let is_cluster_scoped = found.namespace().is_empty();
        let in_reach = is_cluster_scoped || found.namespace() == object.namespace();
        let is_waiting = found.is_deleting() && found.has_finalizer(FOREGROUND);
        in_reach && !is_waiting
    }

    pub(super) async fn live(
        &self,
        resource: &Resource,
        object: &Obj,
    ) -> Result<Option<Object>, Error> {
        let found = self.client.get(resource, object.ns(), object.name()).await;
        match found {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn owner_state(&self, object: &Obj, owner: &OwnerReference) -> Result<Owner, Error> {
        // Nothing is known of an unknown kind; in particular not that it was deleted.
        let Some(resource) = self.graph.resource_of(owner) else {
            return Ok(Owner::Solid);
        };
        let mut namespace = None;
        if resource.namespaced {
            namespace = object.ns();
            if namespace.is_none() {
                // A cluster-scoped object cannot have an owner in a namespace: nothing to look up.
                return Ok(Owner::Solid);
            }
        }
        let found = match self.client.get(&resource, namespace, &owner.name).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(Owner::Absent),
            Err(error) => return Err(error.into()),
        };
        if found.uid() != owner.uid {
            return Ok(Owner::Absent);
        }
        if found.is_deleting() && found.has_finalizer(FOREGROUND) {
            return Ok(Owner::Waiting);
        }
        Ok(Owner::Solid)
    }

    async fn trim(&self, resource: &Resource, live: &Obj, states: &[Owner]) -> Result<(), Error> {
        let owners = &live.meta().owner_references;
        let mut gone = Vec::new();
        for (owner, state) in owners.iter().zip(states) {
            if *state != Owner::Solid {
                gone.push(owner.uid.as_str());
            }
        }
        self.drop_owners(resource, live, &gone).await
    }

    /// Removes the references to these owners. A merge patch of the whole list with the version it
    /// was read at: it works for every kind, and never takes away a reference it has not seen.
    pub(super) async fn drop_owners(
        &self,
        resource: &Resource,
        live: &Obj,
        uids: &[&str],
    ) -> Result<(), Error> {
        let own = &live.meta().owner_references;
        let kept: Vec<_> = own
            .iter()
            .filter(|owner| !uids.contains(&owner.uid.as_str()))
            .map(OwnerReference::to_value)
            .collect();
        if kept.len() == own.len() {
            return Ok(());
        }
        let patch = Patch::Merge(json!({
            "metadata": {
                "ownerReferences": kept,
                "resourceVersion": live.resource_version(),
                "uid": live.uid(),
            },
        }));
        let patched = self
            .client
            .patch(resource, live.ns(), live.name(), &patch)
            .await;
        settled(patched)
    }

    /// Two objects that own each other and both wait would never be deleted: if a dependent is in
    /// foreground deletion itself, this object no longer blocks its owners.
    async fn break_cycle(
        &self,
        resource: &Resource,
        live: &Obj,
        dependents: &[Item],
    ) -> Result<(), Error> {
        let is_waiting = dependents
            .iter()
            .filter_map(|dependent| self.graph.get(dependent))
            .any(|dependent| dependent.is_deleting() && dependent.has_finalizer(FOREGROUND));
        let owners = &live.meta().owner_references;
        let blocks_any = owners.iter().any(|owner| owner.block_owner_deletion);
        if !is_waiting || !blocks_any {
            return Ok(());
        }
        let mut unblocked = Vec::with_capacity(owners.len());
        for owner in owners {
            let mut owner = owner.clone();
            owner.block_owner_deletion = false;
            unblocked.push(owner.to_value());
        }
        let patch = Patch::Merge(json!({
            "metadata": {
                "ownerReferences": unblocked,
                "resourceVersion": live.resource_version(),
            },
        }));
        self.client
            .patch(resource, live.ns(), live.name(), &patch)
            .await?;
        // The delete needs the version after this patch: it comes with the event.
        Err(ControllerError::CycleUnblocked.into())
    }

    /// The finalizer is removed once nothing blocks any more; until then the dependents are collected.
    pub(super) async fn work_off_foreground(&self, item: &Item, object: &Obj) -> Result<(), Error> {
        let mut is_blocked = false;
        for dependent in self.graph.dependents(&item.uid) {
            let Some(found) = self.graph.get(&dependent) else {
                continue;
            };
            let blocks = found
                .meta()
                .owner_references
                .iter()
                .any(|owner| owner.uid == item.uid && owner.block_owner_deletion);
            if !blocks {
                continue;
            }
            is_blocked = true;
            if !found.is_deleting() {
                self.queue.add(dependent.key());
            }
        }
        if is_blocked {
            return Ok(());
        }
        self.drop_finalizer(item, object, FOREGROUND).await
    }

    pub(super) async fn drop_finalizer(
        &self,
        item: &Item,
        object: &Obj,
        finalizer: &str,
    ) -> Result<(), Error> {
        let Some(resource) = self.graph.resource(item) else {
            return Ok(());
        };
        let Some(live) = self.live(&resource, object).await? else {
            return Ok(());
        };
        if live.uid() != item.uid || !live.has_finalizer(finalizer) {
            return Ok(());
        }
        let kept: Vec<_> = live
            .meta()
            .finalizers
            .iter()
            .filter(|other| *other != finalizer)
            .collect();
        let patch = Patch::Merge(json!({
            "metadata": {
                "finalizers": kept,
                "resourceVersion": live.resource_version(),
            },
        }));
        let patched = self
            .client
            .patch(&resource, live.ns(), live.name(), &patch)
            .await;
        settled(patched)
    }
}

/// An object that is gone needs no collecting; one that changed is checked again.
fn settled(result: Result<Object, ApiError>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
