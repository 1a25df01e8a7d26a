//! `/stats/summary`, `/pods` and `/runningpods`.

use std::collections::BTreeMap;

use k3s_cri::v1;
use serde_json::{Value, json};

use super::Server;
use super::usage::{ContainerUse, container_uses, node_use};
use crate::cri::CriError;
use crate::pod::handle::PodHandle;
use crate::pod::model;
use crate::pod::table::PodTable;

/// `/stats/summary`.
pub(super) async fn summary(server: &Server) -> Result<Value, CriError> {
    let containers = container_uses(&server.cri).await?;
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

/// The use of each pod, as the sum of its containers'.
fn summary_pods(table: &PodTable, containers: &[ContainerUse], time: &str) -> Vec<Value> {
    let mut pods: BTreeMap<&str, Vec<&ContainerUse>> = BTreeMap::new();
    for container in containers {
        pods.entry(&container.uid).or_default().push(container);
    }
    pods.into_iter()
        .filter_map(|(uid, containers)| {
            let first = containers.first()?;
            let status = table.get(uid).map(|handle| handle.status());
            let start = status.and_then(|status| status.start_time.clone());
            let sum = |of: fn(&ContainerUse) -> u64| -> u64 {
                containers.iter().map(|container| of(container)).sum()
            };
            Some(json!({
                "podRef": {"name": first.pod, "namespace": first.namespace, "uid": uid},
                "startTime": start.map(|time| k3s_base::clock::rfc3339(time.0)),
                "containers": containers.iter().map(|c| summary_container(c, time)).collect::<Vec<_>>(),
                "cpu": {"time": time, "usageCoreNanoSeconds": sum(|c| c.cpu_nanos)},
                "memory": {"time": time, "workingSetBytes": sum(|c| c.working_set), "rssBytes": sum(|c| c.rss)},
            }))
        })
        .collect()
}

fn summary_container(container: &ContainerUse, time: &str) -> Value {
    let value = |v: Option<v1::UInt64Value>| v.map(|v| v.value);
    let cpu = container.stats.cpu.unwrap_or_default();
    let memory = container.stats.memory.unwrap_or_default();
    json!({
        "name": container.name,
        "cpu": {"time": time, "usageNanoCores": value(cpu.usage_nano_cores),
            "usageCoreNanoSeconds": container.cpu_nanos},
        "memory": {"time": time, "usageBytes": value(memory.usage_bytes),
            "workingSetBytes": container.working_set, "rssBytes": container.rss},
    })
}

/// `/pods` and `/runningpods`: the pods as the node has them, with the status it sees.
pub(super) fn pod_list(pods: &PodTable, running_only: bool) -> Value {
    let mut handles = pods.list();
    handles.retain(|handle| !running_only || handle.observed().ready_sandbox().is_some());
    handles.sort_by_cached_key(|handle| model::pod_key(&handle.pod()));
    let items: Vec<Value> = handles.iter().filter_map(|handle| item(handle)).collect();
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
}

fn item(handle: &PodHandle) -> Option<Value> {
    let mut item = serde_json::to_value(&*handle.pod()).ok()?;
    let status = serde_json::to_value(&*handle.status()).ok()?;
    item.as_object_mut()?.insert("status".to_owned(), status);
    Some(item)
}
