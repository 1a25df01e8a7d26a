//! What pods use of the node: memory and writable layers as the runtime reports them, volumes and
//! logs as the file system does.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k3s_cri::v1;

use crate::cgroup::Cgroups;
use crate::config::KubeletConfig;
use crate::cri::{Cri, CriError};
use crate::model;
use crate::pod::table::PodTable;
use crate::{labels, logs};

/// Files counted in one tree; beyond this a volume's use is an underestimate.
const MAX_FILES: u64 = 1_000_000;

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
    /// Logs, and volumes on the node's file system.
    pub(super) files_bytes: u64,
    pub(super) inodes: u64,
    pub(super) processes: u64,
}

impl PodUse {
    pub(super) fn memory_bytes(&self) -> u64 {
        self.containers.iter().map(|c| c.memory_bytes).sum()
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.containers
            .iter()
            .map(|c| c.disk_bytes)
            .sum::<u64>()
            .saturating_add(self.files_bytes)
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
    fn add_files(&mut self, bytes: u64, inodes: u64) {
        self.files_bytes = self.files_bytes.saturating_add(bytes);
        self.inodes = self.inodes.saturating_add(inodes);
    }
}

impl UsageReader {
    /// The use of all pods, by uid.
    pub(super) async fn read(&self) -> Result<HashMap<String, PodUse>, CriError> {
        let mut all = containers(&self.cri).await?;
        for handle in self.pods.list() {
            let pod = handle.pod();
            let volumes = self.config.pod_dir(&handle.uid).join("volumes");
            let empty_dirs = volumes.join("kubernetes.io~empty-dir");
            let logs = logs::pod_log_dir(&self.config.pod_log_dir, &pod);
            let usage = all.entry(handle.uid.clone()).or_default();
            for tree in [empty_dirs, logs] {
                let (bytes, inodes) = tree_size(tree).await;
                usage.add_files(bytes, inodes);
            }
            usage.processes = self.cgroups.pod_processes(model::uid(&pod));
        }
        Ok(all)
    }
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
        usage.inodes += inodes;
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

/// Bytes allocated and inodes below a folder; links are not followed, nor are mounts.
pub(super) async fn tree_size(root: PathBuf) -> (u64, u64) {
    // A tree that vanishes meanwhile uses nothing.
    tokio::task::spawn_blocking(move || walk(&root))
        .await
        .unwrap_or_default()
}

fn walk(root: &Path) -> (u64, u64) {
    let mut bytes = 0_u64;
    let mut inodes = 0_u64;
    let Ok(root_metadata) = root.symlink_metadata() else {
        return (0, 0);
    };
    let device = root_metadata.dev();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            // Volumes in memory lie on a file system of their own.
            if metadata.dev() != device {
                continue;
            }
            inodes += 1;
            // `st_blocks` counts in units of 512 bytes.
            bytes = bytes.saturating_add(metadata.blocks() * 512);
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if inodes >= MAX_FILES {
                return (bytes, inodes);
            }
        }
    }
    (bytes, inodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tree_is_counted_without_following_links() {
        let root = std::env::temp_dir().join(format!("k3s-tree-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        std::fs::create_dir_all(root.join("a")).unwrap();
        std::fs::write(root.join("a/file"), vec![1; 10_000]).unwrap();
        std::os::unix::fs::symlink("/", root.join("link")).unwrap();
        let (bytes, inodes) = tree_size(root.clone()).await;
        assert_eq!(inodes, 3);
        assert!((10_000..1_000_000).contains(&bytes), "{bytes}");
        assert_eq!(tree_size(root.join("missing")).await, (0, 0));
        std::fs::remove_dir_all(root).unwrap();
    }
}
