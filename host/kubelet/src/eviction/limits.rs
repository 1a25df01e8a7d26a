//! Pods that use more local storage than they may: `sizeLimit` of emptyDir volumes and limits of
//! `ephemeral-storage` (`localStorageEviction` of `pkg/kubelet/eviction/eviction_manager.go`).

use k3s_meta::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod, Volume};

use super::usage::{self, PodUse};
use crate::config::KubeletConfig;
use crate::model::{self, all_containers};

fn bytes(text: &str) -> u64 {
    Quantity::parse(text).map_or(0, |q| u64::try_from(q.value()).unwrap_or(0))
}

fn storage_limit(container: &Container) -> Option<(String, u64)> {
    let limit = container
        .resources
        .as_ref()?
        .limits
        .as_ref()?
        .get("ephemeral-storage")?;
    Some((limit.0.clone(), bytes(&limit.0)))
}

/// Name and limit of the emptyDir volumes on disk that have one; those in memory are held to it by
/// the kernel.
fn volumes(pod: &Pod) -> impl Iterator<Item = (String, String)> + '_ {
    let all = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
    let limited = all.filter_map(|volume| {
        let limit = disk_limit(volume)?;
        Some((volume.name.clone(), limit.to_owned()))
    });
    limited.filter(|(_, limit)| bytes(limit) > 0)
}

fn disk_limit(volume: &Volume) -> Option<&str> {
    let dir = volume.empty_dir.as_ref()?;
    let in_memory = dir.medium.as_deref() == Some("Memory");
    if in_memory {
        return None;
    }
    let limit = dir.size_limit.as_ref()?;
    Some(&limit.0)
}

/// Whether the pod has a limit of local storage.
pub(super) fn has_limit(pod: &Pod) -> bool {
    let limited = |spec| all_containers(spec).any(|(_, c)| storage_limit(c).is_some());
    volumes(pod).next().is_some() || pod.spec.as_ref().is_some_and(limited)
}

/// Why the pod has to end for what an emptyDir volume of its holds.
pub(super) async fn over_volume(config: &KubeletConfig, pod: &Pod) -> Option<String> {
    for (name, limit) in volumes(pod) {
        let folder = config
            .pod_dir(model::uid(pod))
            .join("volumes/kubernetes.io~empty-dir")
            .join(&name);
        if usage::tree_usage(folder).await.bytes > bytes(&limit) {
            return Some(format!(
                "Usage of EmptyDir volume \"{name}\" exceeds the limit \"{limit}\". "
            ));
        }
    }
    None
}

/// Why the pod has to end for what its containers, logs and volumes use together or alone.
pub(super) fn over_limit(pod: &Pod, used: &PodUse) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    for container in &spec.containers {
        let Some((text, limit)) = storage_limit(container) else {
            continue;
        };
        let own = used
            .containers
            .iter()
            .find(|c| c.name == container.name)
            .map_or(0, |c| c.disk_bytes);
        if own > limit {
            return Some(format!(
                "Container {} exceeded its local ephemeral storage limit \"{text}\". ",
                container.name
            ));
        }
    }
    let limits: Option<Vec<u64>> = spec
        .containers
        .iter()
        .map(|c| storage_limit(c).map(|(_, bytes)| bytes))
        .collect();
    let total: u64 = limits?.into_iter().sum();
    if used.disk_bytes() <= total {
        return None;
    }
    let total = super::message::kibibytes(total);
    Some(format!(
        "Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::usage::ContainerUse;
    use super::*;

    #[test]
    fn limits_count_per_container_and_in_all() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [
            {"name": "a", "resources": {"limits": {"ephemeral-storage": "1Mi"}}},
            {"name": "b", "resources": {"limits": {"ephemeral-storage": "1Mi"}}}]}}))
        .unwrap();
        let used = |a: u64, files: u64| PodUse {
            containers: vec![ContainerUse {
                name: "a".into(),
                disk_bytes: a,
                ..ContainerUse::default()
            }],
            files_bytes: files,
            ..PodUse::default()
        };
        assert!(has_limit(&pod));
        assert_eq!(over_limit(&pod, &used(1 << 20, 1 << 20)), None);
        assert_eq!(
            over_limit(&pod, &used(2 << 20, 0)).unwrap(),
            "Container a exceeded its local ephemeral storage limit \"1Mi\". "
        );
        assert_eq!(
            over_limit(&pod, &used(1 << 20, 2 << 20)).unwrap(),
            "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "
        );
    }

    #[test]
    fn volumes_in_memory_are_the_kernels_affair() {
        let pod: Pod = serde_json::from_value(json!({"spec": {"containers": [], "volumes": [
            {"name": "disk", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "memory", "emptyDir": {"sizeLimit": "1Mi", "medium": "Memory"}},
            {"name": "free", "emptyDir": {}}]}}))
        .unwrap();
        assert_eq!(
            volumes(&pod).map(|(name, _)| name).collect::<Vec<_>>(),
            ["disk"]
        );
    }
}
