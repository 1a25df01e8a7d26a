//! What pods use of the node: memory and writable layers as the runtime reports them, volumes and
//! logs as the file system does.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use k3s_cri::v1;
use k3s_sys::fs::{TreeUsage, disk_usage};
use k8s_openapi::api::core::v1::Pod;

use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::container::mounts::MANAGED_FILES;
use crate::cri::{Cri, CriError};
use crate::model;
use crate::pod::table::PodTable;
use crate::{labels, logs};

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ContainerUse {
    pub(super) name: String,
    pub(super) memory_bytes: u64,
    /// Writable layer.
    pub(super) disk_bytes: u64,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodUse {
    pub(super) containers: Vec<ContainerUse>,
    /// Logs, emptyDir volumes on the node's file system, and the files that the kubelet mounts into
    /// containers.
    pub(super) files_bytes: u64,
    pub(super) inodes: u64,
    pub(super) processes: u64,
}

impl PodUse {
    pub(super) fn memory_bytes(&self) -> u64 {
        let each = self.containers.iter().map(|c| c.memory_bytes);
        each.fold(0, u64::saturating_add)
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        let each = self.containers.iter().map(|c| c.disk_bytes);
        each.fold(self.files_bytes, u64::saturating_add)
    }
}

/// Reads it, from the runtime, the file system and the cgroups.
pub(crate) struct UsageReader {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) cri: Cri,
    pub(crate) cgroups: Arc<Cgroups>,
    pub(crate) pods: Arc<PodTable>,
}

impl PodUse {
    fn add_files(&mut self, files: TreeUsage) {
        self.files_bytes = self.files_bytes.saturating_add(files.bytes);
        self.inodes = self.inodes.saturating_add(files.inodes);
    }
}

impl UsageReader {
    /// The use of all pods, by uid.
    pub(super) async fn read(&self) -> Result<HashMap<String, PodUse>, CriError> {
        let mut all = containers(&self.cri).await?;
        for handle in self.pods.list() {
            let pod = handle.pod();
            let usage = all.entry(handle.uid.clone()).or_default();
            for tree in writable_trees(&self.config, &pod) {
                usage.add_files(tree_usage(tree).await);
            }
            usage.processes = self.cgroups.pod_processes(model::uid(&pod));
        }
        Ok(all)
    }
}

/// What a pod's containers can write outside of their own layers.
fn writable_trees(config: &KubeletConfig, pod: &Pod) -> Vec<PathBuf> {
    let dir = config.pod_dir(model::uid(pod));
    let mut trees = vec![
        dir.join("volumes/kubernetes.io~empty-dir"),
        dir.join("containers"),
        logs::pod_log_dir(&config.pod_log_dir, pod),
    ];
    trees.extend(MANAGED_FILES.iter().map(|name| dir.join(name)));
    trees
}

async fn containers(cri: &Cri) -> Result<HashMap<String, PodUse>, CriError> {
    let mut all: HashMap<String, PodUse> = HashMap::new();
    for stats in cri.container_stats().await? {
        let Some(attributes) = &stats.attributes else {
            continue;
        };
        let Some(uid) = attributes.labels.get(labels::POD_UID) else {
            continue;
        };
        let name = attributes.labels.get(labels::CONTAINER_NAME);
        let memory = stats.memory.unwrap_or_default();
        let (disk_bytes, inodes) = layer_use(&stats);
        let usage = all.entry(uid.clone()).or_default();
        usage.inodes = usage.inodes.saturating_add(inodes);
        usage.containers.push(ContainerUse {
            name: name.cloned().unwrap_or_default(),
            memory_bytes: or_zero(memory.working_set_bytes),
            disk_bytes,
        });
    }
    Ok(all)
}

/// Bytes and inodes of a container's writable layer.
fn layer_use(stats: &v1::ContainerStats) -> (u64, u64) {
    let Some(layer) = &stats.writable_layer else {
        return (0, 0);
    };
    let bytes = or_zero(layer.used_bytes);
    let inodes = or_zero(layer.inodes_used);
    (bytes, inodes)
}

fn or_zero(figure: Option<v1::UInt64Value>) -> u64 {
    figure.map_or(0, |figure| figure.value)
}

/// What a file or folder uses; links are not followed, nor are mounts (volumes in memory lie on file
/// systems of their own). What is not there uses nothing.
pub(super) async fn tree_usage(top: PathBuf) -> TreeUsage {
    let measured = tokio::task::spawn_blocking(move || disk_usage(&top));
    match measured.await {
        Ok(usage) => usage.unwrap_or_default(),
        // The process is about to end.
        Err(_) => TreeUsage::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_that_a_container_can_write_counts() {
        let root = tempfile::tempdir().unwrap();
        let config = KubeletConfig {
            root_dir: root.path().join("kubelet"),
            pod_log_dir: root.path().join("logs"),
            ..KubeletConfig::new("n", "v")
        };
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u"}}))
        .unwrap();
        let dir = config.pod_dir("u");
        let files = [
            dir.join("etc-hosts"),
            dir.join("etc-hostname"),
            dir.join("etc-resolv.conf"),
            dir.join("containers/c/0"),
            dir.join("volumes/kubernetes.io~empty-dir/v/below/file"),
            logs::pod_log_dir(&config.pod_log_dir, &pod).join("c/0.log"),
        ];
        for file in &files {
            let before = total(&config, &pod).await;
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, vec![1; 1 << 20]).unwrap();
            let grown = total(&config, &pod).await - before;
            assert!(grown >= 1 << 20, "{} is not counted", file.display());
        }
        // What the node wrote there is not the pod's use.
        let secret = dir.join("volumes/kubernetes.io~secret/s/file");
        let before = total(&config, &pod).await;
        std::fs::create_dir_all(secret.parent().unwrap()).unwrap();
        std::fs::write(secret, vec![1; 1 << 20]).unwrap();
        assert_eq!(total(&config, &pod).await, before);
    }

    async fn total(config: &KubeletConfig, pod: &Pod) -> u64 {
        let mut bytes = 0;
        for tree in writable_trees(config, pod) {
            bytes += tree_usage(tree).await.bytes;
        }
        bytes
    }
}
