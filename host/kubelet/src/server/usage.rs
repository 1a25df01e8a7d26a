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
    let stat = std::fs::read_to_string("/proc/stat");
    let ticks = busy_ticks(&stat.unwrap_or_default());
    let memory = std::fs::read_to_string("/proc/meminfo");
    let memory = memory.unwrap_or_default();
    let total = meminfo(&memory, "MemTotal").unwrap_or(0);
    let available = meminfo(&memory, "MemAvailable").unwrap_or(0);
    NodeUse {
        cpu_seconds: ticks / TICKS,
        memory_used_bytes: total - available,
        memory_available_bytes: available,
    }
}

/// The first line of `/proc/stat`: `cpu`, user, nice, system, idle, iowait, irq, softirq. All count
/// but the idle ones.
fn busy_ticks(stat: &str) -> f64 {
    let total = stat.lines().next().unwrap_or_default();
    let fields: Vec<f64> = total
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    let mut busy = 0.0;
    for (index, ticks) in fields.iter().enumerate() {
        if matches!(index, 0..=2 | 5 | 6) {
            busy += ticks;
        }
    }
    busy
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
    let uses = stats.into_iter().filter_map(container_use);
    let mut list: Vec<ContainerUse> = uses.collect();
    list.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(list)
}

impl ContainerUse {
    fn order(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.pod, &self.name)
    }
}

fn container_use(stats: v1::ContainerStats) -> Option<ContainerUse> {
    let attributes = stats.attributes.clone()?;
    let label = |key: &str| {
        let value = attributes.labels.get(key);
        value.cloned().unwrap_or_default()
    };
    let cpu = stats.cpu.unwrap_or_default();
    let memory = stats.memory.unwrap_or_default();
    Some(ContainerUse {
        pod: label(labels::POD_NAME),
        namespace: label(labels::POD_NAMESPACE),
        uid: label(labels::POD_UID),
        name: label(labels::CONTAINER_NAME),
        id: attributes.id.clone(),
        cpu_nanos: or_zero(cpu.usage_core_nano_seconds),
        working_set: or_zero(memory.working_set_bytes),
        rss: or_zero(memory.rss_bytes),
        stats,
    })
}

fn or_zero(figure: Option<v1::UInt64Value>) -> u64 {
    figure.map_or(0, |figure| figure.value)
}
