//! The kubelet, configured from the node's settings and identity.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use k3s_base::Secret;
use k3s_config::{KubeletArguments, node_annotations};
use k3s_kubelet::{Kubelet, KubeletConfig};

use crate::clients;
use crate::node::context::NodeContext;
use crate::version::VERSION;

/// The kubelet's own health, for probes on the machine.
const HEALTHZ_PORT: u16 = 10_248;

/// Starts the kubelet on the runtime at `endpoint`.
pub(crate) async fn start(context: &NodeContext, endpoint: &str) -> Result<()> {
    let node = clients::for_node(&context.clients, &context.local.name);
    let supervisor = clients::for_supervisor(&context.clients);
    let config = config(context)?;
    Kubelet::start(
        config,
        node,
        Some(supervisor),
        endpoint,
        &context.ambient.tasks,
    )
    .await
    .context("start the kubelet")?;
    Ok(())
}

fn config(context: &NodeContext) -> Result<KubeletConfig> {
    let (settings, cluster) = (&context.settings, &context.cluster);
    let serving = &context.identity.kubelet_serving;
    let mut config = KubeletConfig {
        pod_manifests: Some(settings.data_dir.join("agent/pod-manifests")),
        serving_cert_pem: serving.cert_pem.clone().into_bytes(),
        serving_key_pem: Secret::new(serving.key_pem.reveal().clone().into_bytes()),
        client_ca_pem: context.identity.client_ca_pem.clone().into_bytes(),
        healthz: Some(SocketAddr::from(([127, 0, 0, 1], HEALTHZ_PORT))),
        node_ips: context.local.addresses.clone(),
        external_ips: settings.external_ips.clone(),
        labels: settings.labels.iter().cloned().collect(),
        taints: settings.taints.clone(),
        control_plane: context.control_plane,
        annotations: node_annotations(context.command, &settings.args, std::env::vars()),
        cluster_dns: vec![cluster.cluster_dns.into()],
        cluster_domain: cluster.cluster_domain.clone(),
        resolv_conf: settings.resolv_conf.clone(),
        clock: context.ambient.clock.clone(),
        random: context.ambient.random.clone(),
        ..KubeletConfig::new(&context.local.name, VERSION)
    };
    apply_arguments(&mut config, &settings.kubelet)?;
    Ok(config)
}

/// What `--kubelet-arg` says, over the kubelet's defaults.
fn apply_arguments(config: &mut KubeletConfig, args: &KubeletArguments) -> Result<()> {
    let args = args.clone();
    set(&mut config.max_pods, args.max_pods);
    set(&mut config.cgroup_root, args.cgroup_root);
    set(&mut config.root_dir, args.root_dir);
    set(&mut config.log_max_bytes, args.log_max_bytes);
    set(&mut config.log_max_files, args.log_max_files);
    set(
        &mut config.image_gc_high_percent,
        args.image_gc_high_percent,
    );
    set(&mut config.image_gc_low_percent, args.image_gc_low_percent);
    if let Some(limit) = args.pod_max_pids {
        config.pod_pids_limit = (limit > 0).then_some(limit);
    }
    if let Some(period) = args.eviction_transition_period {
        config.eviction.set_transition(period);
    }
    if let Some(thresholds) = args.eviction_hard {
        config
            .eviction
            .set_hard(&thresholds)
            .with_context(|| format!("--kubelet-arg eviction-hard={thresholds}"))?;
    }
    if let Some(amounts) = args.eviction_minimum_reclaim {
        config
            .eviction
            .set_minimum_reclaim(&amounts)
            .with_context(|| format!("--kubelet-arg eviction-minimum-reclaim={amounts}"))?;
    }
    Ok(())
}

/// Replaces a default where something was given.
fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
