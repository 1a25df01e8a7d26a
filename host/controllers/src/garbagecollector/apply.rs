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
        if cached
            .meta()
            .owner_references
            .iter()
            .all(|owner| self.is_held(cached, owner))
        {
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
            states.push(self.owner_state(&live, owner).await?);
        }
        let dependents = self.graph.dependents(&item.uid);
        match verdict(&states, !dependents.is_empty(), &live) {
            Verdict::Keep => Ok(()),
            Verdict::Trim => self.trim(&resource, &live, &states).await,
            Verdict::Delete(propagation) => {
                if propagation == PropagationPolicy::Foreground {
                    self.break_cycle(&resource, &live, &dependents).await?;
                }
                let params = DeleteParams {
                    propagation_policy: Some(propagation),
                    ..DeleteParams::default()
                }
                .preconditions(unchanged(live.uid(), live.resource_version()));
                settled(
                    self.client
                        .delete(&resource, live.ns(), live.name(), &params)
                        .await,
                )
            }
        }
    }

    /// Whether the caches show the owner, alive and in reach. Then no request is needed.
    fn is_held(&self, object: &Obj, owner: &OwnerReference) -> bool {
        self.graph.find(&owner.uid).is_some_and(|(_, found)| {
            let in_reach = found.namespace().is_empty() || found.namespace() == object.namespace();
            in_reach && !(found.is_deleting() && found.has_finalizer(FOREGROUND))
        })
    }

    async fn live(&self, resource: &Resource, object: &Obj) -> Result<Option<Object>, Error> {
        match self.client.get(resource, object.ns(), object.name()).await {
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
        let namespace = object.ns().filter(|_| resource.namespaced);
        if resource.namespaced && namespace.is_none() {
            // A cluster-scoped object cannot have an owner in a namespace: nothing to look up.
            return Ok(Owner::Solid);
        }
        match self.client.get(&resource, namespace, &owner.name).await {
            Ok(found) if found.uid() != owner.uid => Ok(Owner::Absent),
            Ok(found) if found.is_deleting() && found.has_finalizer(FOREGROUND) => {
                Ok(Owner::Waiting)
            }
            Ok(_) => Ok(Owner::Solid),
            Err(error) if error.is_not_found() => Ok(Owner::Absent),
            Err(error) => Err(error.into()),
        }
    }

    async fn trim(&self, resource: &Resource, live: &Obj, states: &[Owner]) -> Result<(), Error> {
        let gone = live
            .meta()
            .owner_references
            .iter()
            .zip(states)
            .filter(|(_, state)| **state != Owner::Solid);
        let uids: Vec<&str> = gone.map(|(owner, _)| owner.uid.as_str()).collect();
        self.drop_owners(resource, live, &uids).await
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
            .filter(|o| !uids.contains(&o.uid.as_str()))
            .map(OwnerReference::to_value)
            .collect();
        if kept.len() == own.len() {
            return Ok(());
        }
        let patch = json!({"metadata": {"ownerReferences": kept, "resourceVersion": live.resource_version(), "uid": live.uid()}});
        settled(
            self.client
                .patch(resource, live.ns(), live.name(), &Patch::Merge(patch))
                .await,
        )
    }

    /// Two objects that own each other and both wait would never be deleted: if a dependent is in
    /// foreground deletion itself, this object no longer blocks its owners.
    async fn break_cycle(
        &self,
        resource: &Resource,
        live: &Obj,
        dependents: &[Item],
    ) -> Result<(), Error> {
        let waiting = dependents
            .iter()
            .filter_map(|d| self.graph.get(d))
            .any(|d| d.is_deleting() && d.has_finalizer(FOREGROUND));
        let owners = &live.meta().owner_references;
        if !waiting || owners.iter().all(|owner| !owner.block_owner_deletion) {
            return Ok(());
        }
        let unblocked: Vec<_> = owners
            .iter()
            .map(|o| {
                OwnerReference {
                    block_owner_deletion: false,
                    ..o.clone()
                }
                .to_value()
            })
            .collect();
        let patch = json!({"metadata": {"ownerReferences": unblocked, "resourceVersion": live.resource_version()}});
        self.client
            .patch(resource, live.ns(), live.name(), &Patch::Merge(patch))
            .await?;
        // The delete needs the version after this patch: it comes with the event.
        Err(ControllerError::CycleUnblocked.into())
    }

    /// The finalizer is removed once nothing blocks any more; until then the dependents are collected.
    pub(super) async fn work_off_foreground(&self, item: &Item, object: &Obj) -> Result<(), Error> {
        let dependents = self.graph.dependents(&item.uid);
        let blocking = dependents
            .iter()
            .filter_map(|d| self.graph.get(d).map(|object| (d, object)))
            .filter(|(_, dependent)| {
                dependent
                    .meta()
                    .owner_references
                    .iter()
                    .any(|owner| owner.uid == item.uid && owner.block_owner_deletion)
            });
        let blocking: Vec<_> = blocking.collect();
        for (dependent, found) in &blocking {
            if !found.is_deleting() {
                self.queue.add(dependent.key());
            }
        }
        if !blocking.is_empty() {
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
        let Some(live) = self
            .live(&resource, object)
            .await?
            .filter(|live| live.uid() == item.uid)
        else {
            return Ok(());
        };
        if !live.has_finalizer(finalizer) {
            return Ok(());
        }
        let kept: Vec<_> = live
            .meta()
            .finalizers
            .iter()
            .filter(|f| *f != finalizer)
            .collect();
        let patch =
            json!({"metadata": {"finalizers": kept, "resourceVersion": live.resource_version()}});
        settled(
            self.client
                .patch(&resource, live.ns(), live.name(), &Patch::Merge(patch))
                .await,
        )
    }
}

/// An object that is gone needs no collecting; one that changed is checked again.
fn settled(result: Result<Object, ApiError>) -> Result<(), Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        result => Ok(result.map(drop)?),
    }
}
