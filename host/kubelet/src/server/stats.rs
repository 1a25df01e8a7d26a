//! `/stats/summary`, `/pods` and `/runningpods`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Server;
use super::usage::{ContainerUse, container_uses, node_use};
use crate::config::KubeletConfig;
use crate::cri::CriError;
use crate::model;
use crate::pod::handle::PodHandle;
use crate::pod::table::PodTable;

/// `/stats/summary`.
pub(super) async fn summary(server: &Server) -> Result<Value, CriError> {
    let config = &server.config;
    let containers = container_uses(&server.cri).await?;
    let time = k3s_base::clock::rfc3339(config.clock.now());
    let pods = summary_pods(&server.pods, &containers, &time);
    Ok(json!({
        "node": summary_node(config, &time),
        "pods": pods,
    }))
}

fn summary_node(config: &KubeletConfig, time: &str) -> Value {
    let node = node_use();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since boot are positive and small"
    )]
    let cpu_nanos = (node.cpu_seconds * 1e9) as u64;
    json!({
        "nodeName": config.node_name,
        "cpu": {
            "time": time,
            "usageCoreNanoSeconds": cpu_nanos,
        },
        "memory": {
            "time": time,
            "availableBytes": node.memory_available_bytes,
            "usageBytes": node.memory_used_bytes,
            "workingSetBytes": node.memory_used_bytes,
        },
        "fs": summary_filesystem(config, time),
    })
}

fn summary_filesystem(config: &KubeletConfig, time: &str) -> Value {
    let usage = k3s_sys::volume::usage(&config.root_dir);
    let disk = usage.unwrap_or_default();
    let inodes_used = disk.inodes.saturating_sub(disk.inodes_free);
    json!({
        "time": time,
        "availableBytes": disk.available_bytes,
        "capacityBytes": disk.capacity_bytes,
        "usedBytes": disk.used_bytes,
        "inodes": disk.inodes,
        "inodesFree": disk.inodes_free,
        "inodesUsed": inodes_used,
    })
}

/// The use of each pod, as the sum of its containers'.
fn summary_pods(table: &PodTable, containers: &[ContainerUse], time: &str) -> Vec<Value> {
    let mut pods: BTreeMap<&str, Vec<&ContainerUse>> = BTreeMap::new();
    for container in containers {
        let of_pod = pods.entry(&container.uid).or_default();
        of_pod.push(container);
    }
    let mut summaries = Vec::new();
    for (uid, containers) in pods {
        let start = start_time(table, uid);
        summaries.extend(summary_pod(&containers, start, time));
    }
    summaries
}

fn start_time(table: &PodTable, uid: &str) -> Option<String> {
    let status = table.get(uid)?.status();
    let start = status.start_time.as_ref()?;
    Some(k3s_base::clock::rfc3339(start.0))
}

/// The sums over a pod's containers; `None` when it has none.
fn summary_pod(containers: &[&ContainerUse], start: Option<String>, time: &str) -> Option<Value> {
    let first = containers.first()?;
    let list: Vec<Value> = containers
        .iter()
        .map(|container| summary_container(container, time))
        .collect();
    let cpu_nanos: u64 = containers.iter().map(|c| c.cpu_nanos).sum();
    let working_set: u64 = containers.iter().map(|c| c.working_set).sum();
    let rss: u64 = containers.iter().map(|c| c.rss).sum();
    Some(json!({
        "podRef": {
            "name": first.pod,
            "namespace": first.namespace,
            "uid": first.uid,
        },
        "startTime": start,
        "containers": list,
        "cpu": {
            "time": time,
            "usageCoreNanoSeconds": cpu_nanos,
        },
        "memory": {
            "time": time,
            "workingSetBytes": working_set,
            "rssBytes": rss,
        },
    }))
}

fn summary_container(container: &ContainerUse, time: &str) -> Value {
    let cpu = container.stats.cpu.unwrap_or_default();
    let memory = container.stats.memory.unwrap_or_default();
    let nano_cores = cpu.usage_nano_cores.map(|v| v.value);
    let usage_bytes = memory.usage_bytes.map(|v| v.value);
    json!({
        "name": container.name,
        "cpu": {
            "time": time,
            "usageNanoCores": nano_cores,
            "usageCoreNanoSeconds": container.cpu_nanos,
        },
        "memory": {
            "time": time,
            "usageBytes": usage_bytes,
            "workingSetBytes": container.working_set,
            "rssBytes": container.rss,
        },
    })
}

/// `/pods` and `/runningpods`: the pods as the node has them, with the status it sees.
pub(super) fn pod_list(pods: &PodTable, running_only: bool) -> Value {
    let mut handles = pods.list();
    if running_only {
        handles.retain(|handle| handle.observed().ready_sandbox().is_some());
    }
    handles.sort_by_cached_key(|handle| model::pod_key(&handle.pod()));
    let items: Vec<Value> = handles.iter().filter_map(|handle| item(handle)).collect();
    json!({
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {},
        "items": items,
    })
}

fn item(handle: &PodHandle) -> Option<Value> {
    let mut item = serde_json::to_value(&*handle.pod()).ok()?;
    let status = serde_json::to_value(&*handle.status()).ok()?;
    item.as_object_mut()?.insert("status".to_owned(), status);
    Some(item)
}
