//! The sandbox configuration of a pod (`pkg/kubelet/kuberuntime/kuberuntime_sandbox.go`).

use std::collections::HashMap;

use k3s_cri::v1;
use k8s_openapi::api::core::v1::Pod;

use super::{dns, hosts, security};
use crate::context::Context;
use crate::pod::{model, qos};
use crate::{cgroup, labels, logs};

/// Builds the configuration for attempt number `attempt`.
pub(crate) fn sandbox_config(
    ctx: &Context,
    pod: &Pod,
    attempt: u32,
) -> Result<v1::PodSandboxConfig, String> {
    let config = &ctx.config;
    let spec = pod.spec.clone().unwrap_or_default();
    let host_network = spec.host_network.unwrap_or(false);
    let (hostname, _) = hosts::hostname(pod, &config.cluster_domain)?;
    let resolver = std::fs::read_to_string(&config.resolv_conf)
        .map_err(|e| format!("cannot read {}: {e}", config.resolv_conf.display()))?;
    let (cpu_limit, memory_limit) = qos::pod_limits(pod);
    let requests = qos::pod_requests(pod);
    Ok(v1::PodSandboxConfig {
        metadata: Some(v1::PodSandboxMetadata {
            name: model::name(pod).to_owned(),
            uid: model::uid(pod).to_owned(),
            namespace: model::namespace(pod).to_owned(),
            attempt,
        }),
        hostname: if host_network {
            String::new()
        } else {
            hostname
        },
        log_directory: logs::pod_log_dir(&config.pod_log_dir, pod)
            .to_string_lossy()
            .into_owned(),
        dns_config: Some(dns::pod_dns(config, pod, dns::parse(&resolver))),
        port_mappings: if host_network {
            Vec::new()
        } else {
            port_mappings(&spec)
        },
        labels: pod_labels(pod),
        annotations: pod
            .metadata
            .annotations
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        linux: Some(v1::LinuxPodSandboxConfig {
            cgroup_parent: cgroup::pod_path(config, pod),
            security_context: Some(security::sandbox_security(pod, &config.seccomp_root)),
            sysctls: security::sysctls(&spec),
            overhead: None,
            resources: Some(v1::LinuxContainerResources {
                cpu_shares: super::resources::shares(requests.milli_cpu),
                cpu_quota: super::resources::quota(cpu_limit.unwrap_or(0)),
                cpu_period: if cpu_limit.is_some() {
                    super::resources::PERIOD_US
                } else {
                    0
                },
                memory_limit_in_bytes: memory_limit.unwrap_or(0),
                ..v1::LinuxContainerResources::default()
            }),
        }),
        windows: None,
    })
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

fn port_mappings(spec: &k8s_openapi::api::core::v1::PodSpec) -> Vec<v1::PortMapping> {
    let ports = model::all_containers(spec).flat_map(|(_, c)| c.ports.iter().flatten());
    ports
        .filter(|p| p.host_port.is_some_and(|port| port > 0))
        .map(|p| v1::PortMapping {
            protocol: match p.protocol.as_deref() {
                Some("UDP") => v1::Protocol::Udp,
                Some("SCTP") => v1::Protocol::Sctp,
                _ => v1::Protocol::Tcp,
            } as i32,
            container_port: p.container_port,
            host_port: p.host_port.unwrap_or(0),
            host_ip: p.host_ip.clone().unwrap_or_default(),
        })
        .collect()
}
