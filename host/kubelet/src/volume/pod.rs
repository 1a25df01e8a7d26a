//! The volumes of one pod while it runs: what they were made from, and when they have to be made
//! again.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, ProjectedVolumeSource};

use super::context::Mounted;
use super::error::VolumeError;
use super::manager::VolumeManager;
use crate::api::{Followed, Reference};
use crate::container::fields::NodeContext;
use crate::model;

/// See the module.
pub(crate) struct PodVolumes {
    manager: Arc<VolumeManager>,
    mounted: Option<(Arc<Pod>, Arc<Mounted>)>,
    /// The ConfigMaps and Secrets behind the files.
    sources: Vec<Followed>,
}

impl PodVolumes {
    pub(crate) fn new(manager: Arc<VolumeManager>) -> Self {
        Self {
            manager,
            mounted: None,
            sources: Vec::new(),
        }
    }

    /// The volumes as made from this state of the pod, if nothing they depend on has changed since.
    pub(crate) fn fresh(&self, pod: &Arc<Pod>, now: Timestamp) -> Option<Arc<Mounted>> {
        let (made_for, mounted) = self.mounted.as_ref()?;
        let token_due = self
            .manager
            .context
            .tokens
            .next_refresh(model::uid(pod))
            .is_some_and(|at| at <= now);
        (Arc::ptr_eq(made_for, pod) && !token_due).then(|| mounted.clone())
    }

    /// Makes or refreshes all volumes.
    pub(crate) async fn mount(
        &mut self,
        pod: &Arc<Pod>,
        node: &NodeContext,
    ) -> Result<Arc<Mounted>, VolumeError> {
        let mounted = Arc::new(self.manager.mount_all(pod, node).await?);
        self.follow_sources(pod);
        self.mounted = Some((pod.clone(), mounted.clone()));
        Ok(mounted)
    }

    /// Subscribes to the sources once: the volumes of a pod cannot change.
    fn follow_sources(&mut self, pod: &Pod) {
        if !self.sources.is_empty() {
            return;
        }
        let namespace = model::namespace(pod);
        let api = &self.manager.context.api;
        let references = references(pod);
        self.sources = references
            .iter()
            .map(|reference| api.follow(namespace, reference))
            .collect();
    }

    /// Resolves when one of the sources changes; the volumes are no longer fresh then.
    pub(crate) async fn changed(&mut self) {
        if self.sources.is_empty() {
            return std::future::pending().await;
        }
        let changes = self.sources.iter_mut().map(|s| Box::pin(s.changed()));
        futures_util::future::select_all(changes).await;
        self.mounted = None;
    }

    /// How long until a token of the pod has to be renewed.
    pub(crate) fn until_refresh(&self, uid: &str, now: Timestamp) -> Option<Duration> {
        let at = self.manager.context.tokens.next_refresh(uid)?;
        // One that is overdue could not be renewed; it is tried again with the next relist.
        Duration::try_from(at.duration_since(now)).ok()
    }

    /// Ends the observation: the pod's containers have stopped.
    pub(crate) fn close(&mut self) {
        self.sources.clear();
        self.mounted = None;
    }
}

/// ConfigMaps and Secrets whose change must reach the pod's files, each once.
fn references(pod: &Pod) -> Vec<Reference> {
    let mut found = Vec::new();
    let volumes = pod
        .spec
        .iter()
        .flat_map(|spec| spec.volumes.iter().flatten());
    for volume in volumes {
        if let Some(source) = &volume.config_map {
            found.push(Reference::ConfigMap(source.name.clone()));
        }
        let secret = volume.secret.as_ref();
        if let Some(name) = secret.and_then(|source| source.secret_name.as_ref()) {
            found.push(Reference::Secret(name.clone()));
        }
        if let Some(projected) = &volume.projected {
            found.extend(projected_references(projected));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn projected_references(volume: &ProjectedVolumeSource) -> Vec<Reference> {
    let mut found = Vec::new();
    for source in volume.sources.iter().flatten() {
        if let Some(config_map) = &source.config_map {
            found.push(Reference::ConfigMap(config_map.name.clone()));
        }
        if let Some(secret) = &source.secret {
            found.push(Reference::Secret(secret.name.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_in_plain_and_projected_volumes() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"spec": {"containers": [], "volumes": [
            {"name": "a", "configMap": {"name": "m"}},
            {"name": "b", "projected": {"sources": [{"configMap": {"name": "m"}}, {"secret": {"name": "s"}}]}}]}}))
        .unwrap();
        assert_eq!(
            references(&pod),
            [
                Reference::ConfigMap("m".to_owned()),
                Reference::Secret("s".to_owned())
            ]
        );
    }
}
