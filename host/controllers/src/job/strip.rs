//! Removes the finalizer of a Pod once it is counted, or once its Job was deleted.

use k3s_client::resources::{JOBS, PODS};
use k3s_client::{Obj, Object, Patch, split_key};
use k3s_reconcile::{Error, Key};
use serde_json::json;

use super::model::FINALIZER;
use super::{JobController, job_of};

impl JobController {
    /// Pods that carry the finalizer for this name but belong to no Job that exists: no controller will count
    /// them, and the finalizer would keep them forever.
    pub(super) async fn strip_strangers(&self, key: &Key, job: Option<&Obj>) -> Result<(), Error> {
        let (namespace, name) = split_key(key);
        let mut strangers = self.pods.in_namespace(namespace);
        strangers.retain(|pod| is_stranger(pod, key, job));
        if strangers.is_empty() {
            return Ok(());
        }
        // The cache of Jobs may lag behind that of Pods.
        let live = match self.client.get(&JOBS, Some(namespace), name).await {
            Ok(live) => Some(live),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let live_uid = live.as_ref().map(|job| job.uid());
        for object in strangers {
            let owner_uid = object.controller().map(|owner| owner.uid.as_str());
            let belongs_to_live = live_uid.is_some() && owner_uid == live_uid;
            if !belongs_to_live {
                self.strip(&object).await?;
            }
        }
        Ok(())
    }

    /// Takes the finalizer off one Pod.
    pub(super) async fn strip(&self, object: &Obj) -> Result<(), Error> {
        let kept: Vec<&String> = object
            .meta()
            .finalizers
            .iter()
            .filter(|finalizer| *finalizer != FINALIZER)
            .collect();
        // The list is replaced as it was read, so the version it was read at has to hold.
        let patch = Patch::Merge(json!({
            "metadata": {
                "finalizers": kept,
                "resourceVersion": object.resource_version(),
            },
        }));
        let patched = self
            .client
            .patch(&PODS, object.ns(), object.name(), &patch)
            .await;
        match patched {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a Pod carries the finalizer for the Job of this name without belonging to it.
fn is_stranger(pod: &Object, key: &Key, job: Option<&Obj>) -> bool {
    let is_tracked = pod.has_finalizer(FINALIZER);
    let is_of_name = job_of(pod).as_ref() == Some(key);
    if !is_tracked || !is_of_name {
        return false;
    }
    let Some(job) = job else {
        return true;
    };
    match pod.controller() {
        Some(owner) => owner.uid != job.uid(),
        // Without an owner it may be adopted by a Job that is there.
        None => pod.is_deleting(),
    }
}
