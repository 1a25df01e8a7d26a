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
        let stranger = |object: &Object| {
            let owner = object.controller().map(|o| o.uid.as_str());
            let same_job = job.is_some_and(|job| owner == Some(job.uid()));
            // Without an owner it may be adopted by a Job that is there.
            let adoptable = job.is_some() && owner.is_none() && !object.is_deleting();
            object.has_finalizer(FINALIZER)
                && job_of(object).as_ref() == Some(key)
                && !same_job
                && !adoptable
        };
        let strangers: Vec<Object> = self
            .pods
            .in_namespace(namespace)
            .into_iter()
            .filter(stranger)
            .collect();
        if strangers.is_empty() {
            return Ok(());
        }
        // The cache of Jobs may lag behind that of Pods.
        let live = match self.client.get(&JOBS, Some(namespace), name).await {
            Ok(live) => Some(live),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        for object in strangers {
            if live
                .as_ref()
                .is_none_or(|job| object.controller().is_none_or(|o| o.uid != job.uid()))
            {
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
            .filter(|f| *f != FINALIZER)
            .collect();
        // The list is replaced as it was read, so the version it was read at has to hold.
        let patch =
            json!({"metadata": {"finalizers": kept, "resourceVersion": object.resource_version()}});
        match self
            .client
            .patch(&PODS, object.ns(), object.name(), &Patch::Merge(patch))
            .await
        {
            Err(error) if error.is_not_found() => Ok(()),
            result => Ok(result.map(drop)?),
        }
    }
}
