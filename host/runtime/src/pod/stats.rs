//! The use of resources by containers and pods.

use std::collections::HashMap;
use std::sync::Arc;

use k3s_cri::v1;
use k3s_sys::cgroup::{Cgroups, Usage};

use super::container::Container;
use super::manager::Manager;
use super::sandbox::Sandbox;
use crate::error::{Context, Error, Result};
use crate::shim::protocol::Phase;

fn number(value: u64) -> Option<v1::UInt64Value> {
    Some(v1::UInt64Value { value })
}

/// True when every wanted label is there.
pub(crate) fn labels_match(
    wanted: &HashMap<String, String>,
    labels: &HashMap<String, String>,
) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

impl Manager {
    /// The use of one container; reads its control group and walks its writable layer, so it blocks.
    pub(crate) fn container_stats(&self, container: &Container) -> Result<v1::ContainerStats> {
        let record = container.record();
        let attributes = v1::ContainerAttributes {
            id: record.id.clone(),
            metadata: record.config.metadata.clone(),
            labels: record.config.labels.clone(),
            annotations: record.config.annotations.clone(),
        };
        let upper = self.container_dir(&record.id).join("upper");
        let measured = k3s_sys::fs::disk_usage(&upper);
        let usage = measured.context(|| format!("measure {}", upper.display()))?;
        let timestamp = self.now_ns();
        let mut stats = v1::ContainerStats {
            attributes: Some(attributes),
            ..Default::default()
        };
        stats.writable_layer = Some(v1::FilesystemUsage {
            timestamp,
            fs_id: Some(v1::FilesystemIdentifier {
                mountpoint: self.records("containers").to_string_lossy().into_owned(),
            }),
            used_bytes: number(usage.bytes),
            inodes_used: number(usage.inodes),
        });
        if container.phase() == Phase::Running {
            let usage = cgroup_usage(&record.cgroup)?;
            (stats.cpu, stats.memory) = (
                Some(cpu(&usage, timestamp)),
                Some(memory(&usage, timestamp)),
            );
        }
        Ok(stats)
    }

    /// The use of a pod: the sum of its running containers, and its network's counters.
    pub(crate) fn sandbox_stats(&self, sandbox: &Arc<Sandbox>) -> Result<v1::PodSandboxStats> {
        let (record, timestamp) = (sandbox.record(), self.now_ns());
        let containers = self.containers_of(&record.id);
        let mut total = Usage::default();
        let mut stats = Vec::new();
        for container in containers
            .iter()
            .filter(|container| container.phase() == Phase::Running)
        {
            // A container that has just ended has no control group any more and is not counted.
            if let Ok(usage) = cgroup_usage(&container.with(|record| record.cgroup.clone())) {
                add(&mut total, &usage);
                stats.push(self.container_stats(container)?);
            }
        }
        let network = if record.netns.is_some() && sandbox.is_ready() {
            Some(network(record.pids.shim, timestamp)?)
        } else {
            None
        };
        Ok(v1::PodSandboxStats {
            attributes: Some(v1::PodSandboxAttributes {
                id: record.id.clone(),
                metadata: record.config.metadata.clone(),
                labels: record.config.labels.clone(),
                annotations: record.config.annotations.clone(),
            }),
            linux: Some(v1::LinuxPodSandboxStats {
                cpu: Some(cpu(&total, timestamp)),
                memory: Some(memory(&total, timestamp)),
                network,
                process: Some(v1::ProcessUsage {
                    timestamp,
                    process_count: number(total.pids),
                }),
                containers: stats,
            }),
            windows: None,
        })
    }
}

/// Limits are not summed: a pod's use has none.
fn add(total: &mut Usage, usage: &Usage) {
    total.cpu_nanoseconds += usage.cpu_nanoseconds;
    total.memory_bytes += usage.memory_bytes;
    total.working_set_bytes += usage.working_set_bytes;
    total.rss_bytes += usage.rss_bytes;
    total.page_faults += usage.page_faults;
    total.major_page_faults += usage.major_page_faults;
    total.pids += usage.pids;
}

fn cgroup_usage(path: &str) -> Result<Usage> {
    Cgroups::detect()
        .and_then(|cgroups| cgroups.group(path).usage())
        .context(|| format!("read the control group {path}"))
}

fn cpu(usage: &Usage, timestamp: i64) -> v1::CpuUsage {
    // The rate is the client's to compute: only it knows over which time.
    v1::CpuUsage {
        timestamp,
        usage_core_nano_seconds: number(usage.cpu_nanoseconds),
        usage_nano_cores: None,
    }
}

fn memory(usage: &Usage, timestamp: i64) -> v1::MemoryUsage {
    v1::MemoryUsage {
        timestamp,
        working_set_bytes: number(usage.working_set_bytes),
        available_bytes: usage
            .memory_limit_bytes
            .and_then(|limit| number(limit.saturating_sub(usage.working_set_bytes))),
        usage_bytes: number(usage.memory_bytes),
        rss_bytes: number(usage.rss_bytes),
        page_faults: number(usage.page_faults),
        major_page_faults: number(usage.major_page_faults),
    }
}

/// The counters of the pod's interfaces, seen through its shim, which lives in its namespace.
fn network(shim: i32, timestamp: i64) -> Result<v1::NetworkUsage> {
    let path = format!("/proc/{shim}/net/dev");
    let text = std::fs::read_to_string(&path).context(|| format!("read {path}"))?;
    let interfaces = parse_net_dev(&text);
    let default_interface = interfaces
        .iter()
        .find(|interface| interface.name == "eth0")
        .cloned();
    Ok(v1::NetworkUsage {
        timestamp,
        default_interface,
        interfaces,
    })
}

/// proc(5): after two lines of titles, per interface eight counters received and eight sent.
fn parse_net_dev(text: &str) -> Vec<v1::NetworkInterfaceUsage> {
    let parse = |line: &str| -> Option<v1::NetworkInterfaceUsage> {
        let (name, counters) = line.split_once(':')?;
        let counters: Vec<u64> = counters
            .split_ascii_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        let at = |index: usize| counters.get(index).copied().and_then(number);
        Some(v1::NetworkInterfaceUsage {
            name: name.trim().to_owned(),
            rx_bytes: at(0),
            rx_errors: at(2),
            tx_bytes: at(8),
            tx_errors: at(10),
        })
    };
    text.lines()
        .skip(2)
        .filter_map(parse)
        .filter(|interface| interface.name != "lo")
        .collect()
}

/// Resources of a container may be changed while it runs.
impl Manager {
    /// `UpdateContainerResources`.
    pub(crate) fn update_resources(
        &self,
        id: &str,
        new: &v1::LinuxContainerResources,
    ) -> Result<()> {
        let container = self.container(id)?;
        if container.phase() == Phase::Exited {
            return Err(Error::Precondition(format!("container {id} has exited")));
        }
        let record = container.record();
        let merged = crate::spec::resources::merge(&record.resources, new);
        if container.phase() == Phase::Running {
            let group = Cgroups::detect()
                .context(|| "find the control groups".into())?
                .group(&record.cgroup);
            group
                .apply(&crate::spec::resources::limits(&merged))
                .context(|| format!("update container {id}"))?;
        } else {
            return Err(Error::Precondition(format!(
                "container {id} does not run yet"
            )));
        }
        let record = container.update(|record| record.resources = merged);
        self.save_container(&record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_counters_are_read() {
        let text = "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 100 2 3 0 0 0 0 0 200 4 5 0 0 0 0 0\n";
        let interfaces = parse_net_dev(text);
        assert_eq!(interfaces.len(), 1);
        assert_eq!(
            (
                interfaces[0].rx_bytes.unwrap().value,
                interfaces[0].tx_errors.unwrap().value
            ),
            (100, 5)
        );
    }
}
