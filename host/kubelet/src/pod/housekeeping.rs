//! Removes what belongs to no pod: containers, directories, cgroups, logs
//! (`HandlePodCleanups` of `pkg/kubelet/kubelet_pods.go`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::handle::Source;
use super::workers::PodWorkers;
use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::cri::{Cri, CriError};
use crate::model;
use crate::volume::manager::remove_tree;
use crate::{labels, logs};

/// See the module.
pub(crate) struct Housekeeper {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) cri: Cri,
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) workers: Arc<PodWorkers>,
}

impl Housekeeper {
    /// Gives the runtime's orphans a worker that removes them, then removes what is left on disk.
    pub(crate) async fn clean_up(&self) {
        let pods = match self.runtime_pods().await {
            Ok(pods) => pods,
            Err(error) => {
                // Without the runtime's word nothing on disk is safe to remove.
                tracing::debug!(%error, "cannot list orphans");
                return;
            }
        };
        let handles = self.workers.table.list();
        let uids = handles.iter().map(|handle| handle.uid.clone());
        let mut known: HashSet<String> = uids.collect();
        for (uid, pod) in pods {
            let is_orphan = known.insert(uid);
            if is_orphan {
                let key = model::pod_key(&pod);
                tracing::info!(pod = %key, "removing a pod that only the runtime knows");
                self.workers.start(Source::Orphan, Arc::new(pod), None);
            }
        }
        self.remove_cgroups(&known);
        self.remove_directories(&known);
        logs::remove_orphans(&self.config, &known);
    }

    fn remove_cgroups(&self, known: &HashSet<String>) {
        for uid in self.cgroups.pod_uids() {
            if known.contains(&uid) {
                continue;
            }
            if let Err(error) = self.cgroups.remove_pod(&uid) {
                tracing::debug!(%error, uid, "orphaned cgroup not removed");
            }
        }
    }

    fn remove_directories(&self, known: &HashSet<String>) {
        let pods = self.config.root_dir.join("pods");
        let entries = std::fs::read_dir(pods).into_iter().flatten();
        for entry in entries.flatten() {
            let path = entry.path();
            let uid = entry.file_name();
            let uid = uid.to_string_lossy();
            if known.contains(uid.as_ref()) {
                continue;
            }
            if let Err(error) = remove_tree(&path) {
                tracing::warn!(%error, path = %path.display(), "orphaned pod directory not removed");
            }
        }
    }

    /// Pods as the runtime knows them: enough to stop and remove them.
    async fn runtime_pods(&self) -> Result<BTreeMap<String, Pod>, CriError> {
        let mut pods = BTreeMap::new();
        for sandbox in self.cri.sandboxes(HashMap::new()).await? {
            add_pod(&mut pods, &sandbox.labels, None);
        }
        for container in self.cri.containers(HashMap::new()).await? {
            let grace = container.annotations.get(labels::GRACE_PERIOD);
            let grace = grace.and_then(|grace| grace.parse().ok());
            add_pod(&mut pods, &container.labels, grace);
        }
        Ok(pods)
    }
}

/// Adds the pod that the labels name; `grace` is what one of its containers was made with.
fn add_pod(
    pods: &mut BTreeMap<String, Pod>,
    pod_labels: &HashMap<String, String>,
    grace: Option<i64>,
) {
    let label = |key: &str| pod_labels.get(key).cloned();
    let Some(uid) = label(labels::POD_UID) else {
        return;
    };
    let metadata = ObjectMeta {
        name: label(labels::POD_NAME),
        namespace: label(labels::POD_NAMESPACE),
        uid: Some(uid.clone()),
        ..ObjectMeta::default()
    };
    let pod = pods.entry(uid).or_insert_with(|| Pod {
        metadata,
        spec: Some(PodSpec::default()),
        status: None,
    });
    let Some(spec) = &mut pod.spec else {
        return;
    };
    if grace.is_some() {
        spec.termination_grace_period_seconds = grace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_stopped_with_the_grace_its_containers_were_made_with() {
        let of_pod = HashMap::from([(labels::POD_UID.to_owned(), "u".to_owned())]);
        let mut pods = BTreeMap::new();
        add_pod(&mut pods, &HashMap::new(), None);
        add_pod(&mut pods, &of_pod, None);
        add_pod(&mut pods, &of_pod, Some(7));
        let graces: Vec<_> = pods
            .values()
            .map(|pod| pod.spec.as_ref().unwrap().termination_grace_period_seconds)
            .collect();
        assert_eq!(graces, [Some(7)]);
    }
}
