//! The use of node and containers, as the runtime and `/proc` report it.

use k3s_cri::v1;

use crate::cri::{Cri, CriError};
use crate::labels;
use crate::node::info::meminfo;

/// Clock ticks per second: fixed at 100 for user space on Linux.
const TICKS: f64 = 100.0;

pub(super) struct NodeUse {
    pub(super) cpu_seconds: f64,
    pub(super) memory_used_bytes: i64,
    pub(super) memory_available_bytes: i64,
}

pub(super) fn node_use() -> NodeUse {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq: all but the idle ones.
    let busy: f64 = fields
        .iter()
        .enumerate()
        .filter(|(i, _)| matches!(i, 0..=2 | 5 | 6))
        .map(|(_, v)| v)
        .sum();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let (total, available) = (
        meminfo(&memory, "MemTotal").unwrap_or(0),
        meminfo(&memory, "MemAvailable").unwrap_or(0),
    );
    NodeUse {
        cpu_seconds: busy / TICKS,
        memory_used_bytes: total - available,
        memory_available_bytes: available,
    }
}

pub(super) struct ContainerUse {
    pub(super) pod: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) id: String,
    pub(super) cpu_nanos: u64,
    pub(super) working_set: u64,
    pub(super) rss: u64,
    pub(super) stats: v1::ContainerStats,
}

pub(super) async fn container_uses(cri: &Cri) -> Result<Vec<ContainerUse>, CriError> {
    let stats = cri.container_stats().await?;
    let of = |stats: v1::ContainerStats| {
        let attributes = stats.attributes.clone()?;
        let label = |key: &str| attributes.labels.get(key).cloned().unwrap_or_default();
        let memory = stats.memory.as_ref();
        Some(ContainerUse {
            pod: label(labels::POD_NAME),
            namespace: label(labels::POD_NAMESPACE),
            uid: label(labels::POD_UID),
            name: label(labels::CONTAINER_NAME),
            id: attributes.id.clone(),
            cpu_nanos: stats
                .cpu
                .as_ref()
                .and_then(|c| c.usage_core_nano_seconds)
                .map_or(0, |v| v.value),
            working_set: memory
                .and_then(|m| m.working_set_bytes)
                .map_or(0, |v| v.value),
            rss: memory.and_then(|m| m.rss_bytes).map_or(0, |v| v.value),
            stats,
        })
    };
    let mut list: Vec<ContainerUse> = stats.into_iter().filter_map(of).collect();
    list.sort_by(|a, b| (&a.namespace, &a.pod, &a.name).cmp(&(&b.namespace, &b.pod, &b.name)));
    Ok(list)
}
