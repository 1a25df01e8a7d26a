//! Changing what a running pod may use (`doPodResizeAction` of
//! `pkg/kubelet/kuberuntime/kuberuntime_manager.go`).
//!
//! Memory comes first, then CPU. A bound of the pod as a whole is raised before and lowered after those of its
//! containers, and of containers those that shrink come first: so the pod's bound is never below what its
//! containers are promised. Memory is not bounded below its present use, which would kill.

use k3s_cri::v1::{LinuxContainerResources, UInt64Value};
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use super::Performer;
use crate::cgroup::{PodBounds, pod_path};
use crate::container::resources::container_resources;
use crate::pod::error::ResizeError;

/// A container that gets other resources while it runs.
pub(crate) struct ContainerResize {
    id: String,
    name: String,
    before: LinuxContainerResources,
    after: LinuxContainerResources,
}

/// A value of each container.
type Of = fn(&LinuxContainerResources) -> i64;

impl Performer {
    /// The step from what the container has to what its spec says.
    pub(crate) fn container_resize(
        &self,
        pod: &Pod,
        container: &Container,
        id: &str,
        actual: &ResourceRequirements,
    ) -> ContainerResize {
        let memory_bytes = self.containers.node.machine.memory_bytes;
        let before = Container {
            resources: Some(actual.clone()),
            ..container.clone()
        };
        ContainerResize {
            id: id.to_owned(),
            name: container.name.clone(),
            before: container_resources(pod, &before, memory_bytes),
            after: container_resources(pod, container, memory_bytes),
        }
    }

    /// Gives the pod's cgroup and these containers what the pod's spec says.
    pub(crate) async fn resize_pod(
        &self,
        pod: &Pod,
        containers: &[ContainerResize],
    ) -> Result<(), ResizeError> {
        let path = pod_path(&self.config, pod);
        let (quota, memory) = self.cgroups.bounds(&path).map_err(ResizeError::Cgroup)?;
        let wanted = PodBounds::of(pod);
        self.check_memory(&path, wanted.memory_bytes, memory, containers)
            .await?;
        self.resize_memory(&path, wanted.memory_bytes, memory, containers)
            .await?;
        self.resize_cpu(&path, wanted, quota, containers).await
    }

    async fn resize_memory(
        &self,
        path: &str,
        wanted: Option<i64>,
        actual: Option<i64>,
        containers: &[ContainerResize],
    ) -> Result<(), ResizeError> {
        let set = |bytes| self.cgroups.set_memory(path, bytes);
        bound_before(wanted, actual, set)?;
        let memory = |of: &LinuxContainerResources| LinuxContainerResources {
            memory_limit_in_bytes: of.memory_limit_in_bytes,
            memory_swap_limit_in_bytes: of.memory_swap_limit_in_bytes,
            ..LinuxContainerResources::default()
        };
        self.update_containers(containers, |of| of.memory_limit_in_bytes, memory)
            .await?;
        bound_after(wanted, actual, set)
    }

    async fn resize_cpu(
        &self,
        path: &str,
        wanted: PodBounds,
        actual: Option<i64>,
        containers: &[ContainerResize],
    ) -> Result<(), ResizeError> {
        let set = |quota_us| self.cgroups.set_quota(path, quota_us);
        bound_before(wanted.cpu_quota_us, actual, set)?;
        self.cgroups.set_shares(path, wanted.milli_cpu_request);
        let cpu = |of: &LinuxContainerResources| LinuxContainerResources {
            cpu_shares: of.cpu_shares,
            cpu_period: of.cpu_period,
            cpu_quota: of.cpu_quota,
            ..LinuxContainerResources::default()
        };
        self.update_containers(containers, |of| of.cpu_quota, cpu)
            .await?;
        bound_after(wanted.cpu_quota_us, actual, set)
    }

    /// Sends one part of the resources of each container in which it differs, those first whose bound shrinks.
    async fn update_containers(
        &self,
        containers: &[ContainerResize],
        bound: Of,
        part: impl Fn(&LinuxContainerResources) -> LinuxContainerResources,
    ) -> Result<(), ResizeError> {
        let changed = containers.iter();
        let changed = changed.filter(|it| part(&it.before) != part(&it.after));
        let (shrinking, others): (Vec<_>, Vec<_>) =
            changed.partition(|it| shrinks(bound(&it.before), bound(&it.after)));
        for container in shrinking.into_iter().chain(others) {
            let resources = part(&container.after);
            let updated = self
                .cri
                .update_container_resources(&container.id, resources)
                .await;
            updated.map_err(|source| ResizeError::Container {
                name: container.name.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// No memory limit may go below what is in use.
    async fn check_memory(
        &self,
        path: &str,
        wanted: Option<i64>,
        actual: Option<i64>,
        containers: &[ContainerResize],
    ) -> Result<(), ResizeError> {
        let mut below = Vec::new();
        if let Some(wanted) = wanted.filter(|wanted| actual.is_none_or(|actual| *wanted < actual)) {
            let usage = self.cgroups.memory_usage(path);
            let usage = usage.map_err(ResizeError::Cgroup)?;
            if usage >= wanted {
                below.push(format!(
                    "attempting to set pod memory limit ({wanted}) below current usage ({usage})"
                ));
            }
        }
        let limit: Of = |of| of.memory_limit_in_bytes;
        let shrinking = containers.iter();
        let shrinking = shrinking.filter(|it| shrinks(limit(&it.before), limit(&it.after)));
        let shrinking: Vec<&ContainerResize> = shrinking.collect();
        if !shrinking.is_empty() {
            let stats = self.cri.container_stats().await;
            let stats = stats.map_err(ResizeError::Usage)?;
            for ContainerResize {
                id, name, after, ..
            } in shrinking
            {
                let of = |attributes: &k3s_cri::v1::ContainerAttributes| attributes.id == *id;
                let mut stats = stats.iter();
                let own = stats.find(|stats| stats.attributes.as_ref().is_some_and(of));
                let memory = own.and_then(|own| own.memory.as_ref());
                let usage = memory.and_then(|memory| memory.usage_bytes);
                below.extend(below_usage(name, limit(after), usage));
            }
        }
        if below.is_empty() {
            Ok(())
        } else {
            Err(ResizeError::BelowUsage(below))
        }
    }
}

/// What is wrong with a container's new memory limit, if something is.
fn below_usage(name: &str, limit: i64, usage: Option<UInt64Value>) -> Option<String> {
    let Some(UInt64Value { value: usage }) = usage else {
        return Some(format!("missing container {name:?} memory usage"));
    };
    let is_below = u64::try_from(limit).is_ok_and(|limit| usage >= limit);
    is_below.then(|| {
        format!(
            "attempting to set container {name:?} memory limit ({limit}) below current usage ({usage})"
        )
    })
}

/// Whether a container's bound becomes narrower. 0 is none.
fn shrinks(before: i64, after: i64) -> bool {
    after != 0 && (before == 0 || after < before)
}

/// Raises a bound of the pod, where it is to be raised. Bounds cannot be taken away.
fn bound_before(
    wanted: Option<i64>,
    actual: Option<i64>,
    set: impl Fn(i64) -> std::io::Result<()>,
) -> Result<(), ResizeError> {
    match (wanted, actual) {
        (Some(wanted), Some(actual)) if wanted > actual => set(wanted).map_err(ResizeError::Cgroup),
        _ => Ok(()),
    }
}

/// Lowers it, where it is to be lowered.
fn bound_after(
    wanted: Option<i64>,
    actual: Option<i64>,
    set: impl Fn(i64) -> std::io::Result<()>,
) -> Result<(), ResizeError> {
    match wanted {
        Some(wanted) if actual.is_none_or(|actual| wanted < actual) => {
            set(wanted).map_err(ResizeError::Cgroup)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_bound_of_the_pod_is_raised_before_and_lowered_after() {
        for (wanted, actual, before, after) in [
            (Some(2), Some(1), Some(2), None),
            (Some(1), Some(2), None, Some(1)),
            (Some(1), None, None, Some(1)),
            (Some(1), Some(1), None, None),
            (None, Some(1), None, None),
            (None, None, None, None),
        ] {
            let done = Cell::new(None);
            let set = |value| {
                done.set(Some(value));
                Ok(())
            };
            bound_before(wanted, actual, set).unwrap();
            assert_eq!(done.take(), before, "{wanted:?} {actual:?}");
            bound_after(wanted, actual, set).unwrap();
            assert_eq!(done.take(), after, "{wanted:?} {actual:?}");
        }
    }

    #[test]
    fn memory_is_not_bounded_below_its_use() {
        let usage = |value| Some(UInt64Value { value });
        assert_eq!(below_usage("c", 10, usage(9)), None);
        assert_eq!(
            below_usage("c", 10, usage(10)).as_deref(),
            Some("attempting to set container \"c\" memory limit (10) below current usage (10)")
        );
        assert!(below_usage("c", 10, None).is_some());
        assert!(shrinks(0, 5) && shrinks(6, 5) && !shrinks(5, 6) && !shrinks(5, 0));
    }
}
