//! The sandbox configuration of a pod (`pkg/kubelet/kuberuntime/kuberuntime_sandbox.go`).

use std::collections::HashMap;

use k3s_cri::v1;
use k8s_openapi::api::core::v1::{ContainerPort, Pod, PodSpec};

use super::error::ConfigError;
use super::{dns, hosts, mounts, resources, security};
use crate::config::KubeletConfig;
use crate::{cgroup, labels, logs};
use crate::{model, qos};

/// Builds the configuration for attempt number `attempt`.
pub(crate) fn sandbox_config(
    config: &KubeletConfig,
    pod: &Pod,
    attempt: u32,
) -> Result<v1::PodSandboxConfig, ConfigError> {
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let host_network = model::host_network(pod);
    let (hostname, _) = hosts::hostname(pod, &config.cluster_domain)?;
    let resolver = mounts::read_file(&config.resolv_conf)?;
    let log_directory = logs::pod_log_dir(&config.pod_log_dir, pod);
    let annotations = pod.metadata.annotations.clone();
    let annotations = annotations.unwrap_or_default();
    let metadata = v1::PodSandboxMetadata {
        name: model::name(pod).to_owned(),
        uid: model::uid(pod).to_owned(),
        namespace: model::namespace(pod).to_owned(),
        attempt,
    };
    // In the node's network the pod has the node's name and its ports.
    let (hostname, port_mappings) = if host_network {
        (String::new(), Vec::new())
    } else {
        (hostname, port_mappings(spec))
    };
    let dns = dns::pod_dns(config, pod, dns::parse(&resolver));
    Ok(v1::PodSandboxConfig {
        metadata: Some(metadata),
        hostname,
        log_directory: log_directory.to_string_lossy().into_owned(),
        dns_config: Some(dns),
        port_mappings,
        labels: pod_labels(pod),
        annotations: annotations.into_iter().collect(),
        linux: Some(linux_config(config, pod, spec)),
        windows: None,
    })
}

fn linux_config(config: &KubeletConfig, pod: &Pod, spec: &PodSpec) -> v1::LinuxPodSandboxConfig {
    v1::LinuxPodSandboxConfig {
        cgroup_parent: cgroup::pod_path(config, pod),
        security_context: Some(security::sandbox_security(pod, &config.seccomp_root)),
        sysctls: security::sysctls(spec),
        overhead: pod_overhead(pod),
        resources: Some(pod_resources(pod)),
    }
}

/// What the pod's containers ask for and may use together, without what the sandbox costs: that comes
/// beside it (`applySandboxResources` of `pkg/kubelet/kuberuntime`).
fn pod_resources(pod: &Pod) -> v1::LinuxContainerResources {
    let overhead = qos::pod_overhead(pod).unwrap_or_default();
    let (cpu_limit, memory_limit) = qos::pod_limits(pod);
    let requested_cpu = qos::pod_requests(pod).milli_cpu;
    let cpu_limit = cpu_limit.map(|limit| limit.saturating_sub(overhead.milli_cpu));
    let memory_limit = memory_limit.map(|limit| limit.saturating_sub(overhead.memory_bytes));
    linux_resources(
        requested_cpu.saturating_sub(overhead.milli_cpu),
        cpu_limit,
        memory_limit,
    )
}

fn pod_overhead(pod: &Pod) -> Option<v1::LinuxContainerResources> {
    let overhead = qos::pod_overhead(pod)?;
    let cpu = overhead.milli_cpu;
    let cpu_limit = (cpu > 0).then_some(cpu);
    Some(linux_resources(cpu, cpu_limit, Some(overhead.memory_bytes)))
}

fn linux_resources(
    milli_cpu: i64,
    cpu_limit: Option<i64>,
    memory_limit: Option<i64>,
) -> v1::LinuxContainerResources {
    v1::LinuxContainerResources {
        cpu_shares: resources::shares(milli_cpu),
        cpu_quota: resources::quota(cpu_limit.unwrap_or(0)),
        cpu_period: cpu_limit.map_or(0, |_| resources::PERIOD_US),
        memory_limit_in_bytes: memory_limit.unwrap_or(0),
        ..v1::LinuxContainerResources::default()
    }
}

/// The pod's own labels and the ones it is found by again.
pub(crate) fn pod_labels(pod: &Pod) -> HashMap<String, String> {
    let mut all: HashMap<_, _> = pod
        .metadata
        .labels
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    all.insert(labels::POD_NAME.to_owned(), model::name(pod).to_owned());
    all.insert(
        labels::POD_NAMESPACE.to_owned(),
        model::namespace(pod).to_owned(),
    );
    all.insert(labels::POD_UID.to_owned(), model::uid(pod).to_owned());
    all
}

fn port_mappings(spec: &PodSpec) -> Vec<v1::PortMapping> {
    let mut mappings = Vec::new();
    for (_, container) in model::all_containers(spec) {
        for port in container.ports.iter().flatten() {
            let host_port = port.host_port.unwrap_or(0);
            if host_port > 0 {
                mappings.push(port_mapping(port, host_port));
            }
        }
    }
    mappings
}

fn port_mapping(port: &ContainerPort, host_port: i32) -> v1::PortMapping {
    let protocol = match port.protocol.as_deref() {
        Some("UDP") => v1::Protocol::Udp,
        Some("SCTP") => v1::Protocol::Sctp,
        _ => v1::Protocol::Tcp,
    };
    v1::PortMapping {
        protocol: protocol as i32,
        container_port: port.container_port,
        host_port,
        host_ip: port.host_ip.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_sandboxs_own_cost_comes_beside_what_containers_may_use() {
        let limits = json!({"cpu": "1", "memory": "64Mi"});
        let mut spec = json!({"containers": [{"name": "c", "resources": {"requests": limits, "limits": limits}}]});
        let pod = |spec: &serde_json::Value| -> Pod {
            serde_json::from_value(json!({"spec": spec})).unwrap()
        };
        let plain = pod(&spec);
        assert_eq!(pod_overhead(&plain), None);
        spec["overhead"] = json!({"cpu": "250m", "memory": "16Mi"});
        let heavy = pod(&spec);
        assert_eq!(pod_resources(&heavy), pod_resources(&plain));
        let overhead = pod_overhead(&heavy).unwrap();
        assert_eq!(
            (
                overhead.cpu_shares,
                overhead.cpu_quota,
                overhead.memory_limit_in_bytes
            ),
            (256, 25_000, 16 << 20)
        );
        assert_eq!(pod_resources(&heavy).memory_limit_in_bytes, 64 << 20);
    }
}
