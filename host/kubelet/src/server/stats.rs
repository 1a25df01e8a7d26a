//! `/stats/summary`, `/metrics`, `/metrics/resource`, `/metrics/cadvisor`: what runtime and `/proc`
//! know of use, in upstream's names.

use std::collections::BTreeMap;
use std::fmt::Write;

use k3s_cri::v1;
use serde_json::{Value, json};

use super::Server;
use crate::cri::{Cri, CriError};
use crate::labels;
use crate::node::info::meminfo;
use crate::pod::model::{self, State};
use crate::pod::table::PodTable;

/// Clock ticks per second: fixed at 100 for user space on Linux.
const TICKS: f64 = 100.0;

struct NodeUse {
    cpu_seconds: f64,
    memory_used_bytes: i64,
    memory_available_bytes: i64,
}

fn node_use() -> NodeUse {
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

struct ContainerUse {
    pod: String,
    namespace: String,
    uid: String,
    name: String,
    id: String,
    cpu_nanos: u64,
    working_set: u64,
    rss: u64,
    stats: v1::ContainerStats,
}

async fn containers(cri: &Cri) -> Result<Vec<ContainerUse>, CriError> {
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

#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} [STABLE] {help}\n# TYPE {name} {kind}");
}

/// `/metrics/resource`: what metrics-server reads.
pub(crate) async fn resource(server: &Server) -> Result<String, CriError> {
    let containers = containers(&server.cri).await?;
    let node = node_use();
    let now = server.config.clock.now().as_millisecond();
    let mut out = String::new();
    let labels = |c: &ContainerUse| {
        format!(
            "{{container=\"{}\",namespace=\"{}\",pod=\"{}\"}}",
            c.name, c.namespace, c.pod
        )
    };
    family(
        &mut out,
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    );
    for c in &containers {
        let _ = writeln!(
            out,
            "container_cpu_usage_seconds_total{} {} {now}",
            labels(c),
            seconds(c.cpu_nanos)
        );
    }
    family(
        &mut out,
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set of the container in bytes",
    );
    for c in &containers {
        let _ = writeln!(
            out,
            "container_memory_working_set_bytes{} {} {now}",
            labels(c),
            c.working_set
        );
    }
    family(
        &mut out,
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds",
    );
    for c in &containers {
        if let Some(start) = started(&server.pods, &c.uid, &c.id) {
            let _ = writeln!(
                out,
                "container_start_time_seconds{} {} {now}",
                labels(c),
                seconds(u64::try_from(start).unwrap_or(0))
            );
        }
    }
    family(
        &mut out,
        "node_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the node in core-seconds",
    );
    let _ = writeln!(
        out,
        "node_cpu_usage_seconds_total {} {now}",
        node.cpu_seconds
    );
    family(
        &mut out,
        "node_memory_working_set_bytes",
        "gauge",
        "Current working set of the node in bytes",
    );
    let _ = writeln!(
        out,
        "node_memory_working_set_bytes {} {now}",
        node.memory_used_bytes
    );
    pods(&mut out, &containers, now);
    family(
        &mut out,
        "resource_scrape_error",
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    );
    let _ = writeln!(out, "resource_scrape_error 0");
    Ok(out)
}

fn started(pods: &PodTable, uid: &str, id: &str) -> Option<i64> {
    let observed = pods.get(uid)?.observed();
    observed
        .containers
        .iter()
        .find(|c| c.id == id)
        .map(|c| c.started_at_ns)
}

fn pods(out: &mut String, containers: &[ContainerUse], now: i64) {
    let mut sums: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    for c in containers {
        let sum = sums.entry((&c.namespace, &c.pod)).or_default();
        sum.0 += c.cpu_nanos;
        sum.1 += c.working_set;
    }
    family(
        out,
        "pod_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed by the pod in core-seconds",
    );
    for ((namespace, pod), (cpu, _)) in &sums {
        let _ = writeln!(
            out,
            "pod_cpu_usage_seconds_total{{namespace=\"{namespace}\",pod=\"{pod}\"}} {} {now}",
            seconds(*cpu)
        );
    }
    family(
        out,
        "pod_memory_working_set_bytes",
        "gauge",
        "Current working set of the pod in bytes",
    );
    for ((namespace, pod), (_, memory)) in &sums {
        let _ = writeln!(
            out,
            "pod_memory_working_set_bytes{{namespace=\"{namespace}\",pod=\"{pod}\"}} {memory} {now}"
        );
    }
}

/// `/metrics/cadvisor`: the container and machine series that dashboards use most.
pub(crate) async fn cadvisor(server: &Server) -> Result<String, CriError> {
    let containers = containers(&server.cri).await?;
    let mut out = String::new();
    let labels = |c: &ContainerUse| {
        format!(
            "{{container=\"{}\",id=\"{}\",name=\"{}\",namespace=\"{}\",pod=\"{}\"}}",
            c.name, c.id, c.id, c.namespace, c.pod
        )
    };
    let mut series =
        |name: &str, kind: &str, help: &str, value: &dyn Fn(&ContainerUse) -> String| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for c in &containers {
                let _ = writeln!(out, "{name}{} {}", labels(c), value(c));
            }
        };
    series(
        "container_cpu_usage_seconds_total",
        "counter",
        "Cumulative cpu time consumed in seconds.",
        &|c| seconds(c.cpu_nanos).to_string(),
    );
    series(
        "container_memory_working_set_bytes",
        "gauge",
        "Current working set in bytes.",
        &|c| c.working_set.to_string(),
    );
    series(
        "container_memory_rss",
        "gauge",
        "Size of RSS in bytes.",
        &|c| c.rss.to_string(),
    );
    let machine = &server.node.machine;
    let _ = writeln!(
        out,
        "# HELP machine_cpu_cores Number of logical CPU cores.\n# TYPE machine_cpu_cores gauge\nmachine_cpu_cores {}",
        machine.cpus
    );
    let _ = writeln!(
        out,
        "# HELP machine_memory_bytes Amount of memory installed on the machine.\n# TYPE machine_memory_bytes gauge\nmachine_memory_bytes {}",
        machine.memory_bytes
    );
    Ok(out)
}

/// `/metrics`: the kubelet's own.
pub(crate) fn own(server: &Server) -> String {
    let mut out = String::new();
    let handles = server.pods.list();
    let observed: Vec<_> = handles.iter().map(|h| h.observed()).collect();
    let ready = observed
        .iter()
        .filter(|o| o.ready_sandbox().is_some())
        .count();
    let _ = writeln!(
        out,
        "# HELP kubelet_node_name [ALPHA] The node's name. The count is always 1.\n# TYPE kubelet_node_name gauge\nkubelet_node_name{{node=\"{}\"}} 1",
        server.config.node_name
    );
    let _ = writeln!(
        out,
        "# HELP kubelet_running_pods [ALPHA] Number of pods that have a running pod sandbox\n# TYPE kubelet_running_pods gauge\nkubelet_running_pods {ready}"
    );
    let _ = writeln!(
        out,
        "# HELP kubelet_running_containers [ALPHA] Number of containers currently running\n# TYPE kubelet_running_containers gauge"
    );
    for (state, name) in [
        (State::Created, "created"),
        (State::Running, "running"),
        (State::Exited, "exited"),
        (State::Unknown, "unknown"),
    ] {
        let count = observed
            .iter()
            .flat_map(|o| &o.containers)
            .filter(|c| c.state == state)
            .count();
        let _ = writeln!(
            out,
            "kubelet_running_containers{{container_state=\"{name}\"}} {count}"
        );
    }
    let _ = writeln!(
        out,
        "# HELP kubelet_desired_pods [ALPHA] The number of pods the kubelet is being instructed to run\n# TYPE kubelet_desired_pods gauge\nkubelet_desired_pods {}",
        handles.len()
    );
    out
}

/// `/stats/summary`.
pub(crate) async fn summary(server: &Server) -> Result<Value, CriError> {
    let containers = containers(&server.cri).await?;
    let node = node_use();
    let time = k3s_base::clock::rfc3339(server.config.clock.now());
    let disk = k3s_sys::volume::usage(&server.config.root_dir).unwrap_or_default();
    let filesystem = json!({"time": time, "availableBytes": disk.available_bytes, "capacityBytes": disk.capacity_bytes,
        "usedBytes": disk.used_bytes, "inodes": disk.inodes, "inodesFree": disk.inodes_free,
        "inodesUsed": disk.inodes.saturating_sub(disk.inodes_free)});
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since boot are positive and small"
    )]
    let cpu_nanos = (node.cpu_seconds * 1e9) as u64;
    Ok(json!({
        "node": {
            "nodeName": server.config.node_name,
            "cpu": {"time": time, "usageCoreNanoSeconds": cpu_nanos},
            "memory": {"time": time, "availableBytes": node.memory_available_bytes, "usageBytes": node.memory_used_bytes,
                "workingSetBytes": node.memory_used_bytes},
            "fs": filesystem,
        },
        "pods": summary_pods(&server.pods, &containers, &time),
    }))
}

fn summary_pods(table: &PodTable, containers: &[ContainerUse], time: &str) -> Vec<Value> {
    let mut pods: BTreeMap<&str, Vec<&ContainerUse>> = BTreeMap::new();
    for c in containers {
        pods.entry(&c.uid).or_default().push(c);
    }
    let value = |v: Option<v1::UInt64Value>| v.map(|v| v.value);
    let container = |c: &&ContainerUse| {
        let (cpu, memory) = (
            c.stats.cpu.unwrap_or_default(),
            c.stats.memory.unwrap_or_default(),
        );
        json!({"name": c.name,
            "cpu": {"time": time, "usageNanoCores": value(cpu.usage_nano_cores), "usageCoreNanoSeconds": c.cpu_nanos},
            "memory": {"time": time, "usageBytes": value(memory.usage_bytes), "workingSetBytes": c.working_set, "rssBytes": c.rss}})
    };
    pods.into_iter()
        .filter_map(|(uid, list)| {
            let first = list.first()?;
            let start = table.get(uid).and_then(|h| h.status().start_time.clone()).map(|t| k3s_base::clock::rfc3339(t.0));
            Some(json!({
                "podRef": {"name": first.pod, "namespace": first.namespace, "uid": uid},
                "startTime": start,
                "containers": list.iter().map(container).collect::<Vec<_>>(),
                "cpu": {"time": time, "usageCoreNanoSeconds": list.iter().map(|c| c.cpu_nanos).sum::<u64>()},
                "memory": {"time": time, "workingSetBytes": list.iter().map(|c| c.working_set).sum::<u64>(),
                    "rssBytes": list.iter().map(|c| c.rss).sum::<u64>()},
            }))
        })
        .collect()
}

/// `/pods` and `/runningpods`.
pub(crate) fn pod_list(pods: &PodTable, running_only: bool) -> Value {
    let handles = pods.list();
    let wanted = handles
        .iter()
        .filter(|h| !running_only || h.observed().ready_sandbox().is_some());
    let mut items: Vec<(String, Value)> = wanted
        .filter_map(|h| {
            let pod = h.pod();
            let mut full = (*pod).clone();
            full.status = Some((*h.status()).clone());
            Some((model::pod_key(&pod), serde_json::to_value(full).ok()?))
        })
        .collect();
    items.sort_by(|a, b| a.0.cmp(&b.0));
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items.into_iter().map(|(_, v)| v).collect::<Vec<_>>()})
}
