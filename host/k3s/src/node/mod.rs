//! The node in the server's process: container runtime, kubelet, service proxy, cluster DNS.

mod external_runtime;
pub(crate) mod ingress;
pub(crate) mod kernel;
mod network;
pub(crate) mod storage;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ipnet::IpNet;
use k3s_base::Secret;
use k3s_client::{Client, Informers};
use k3s_config::ServerSettings;
use k3s_deploy::Manifests;
use k3s_dns::{Dns, DnsConfig};
use k3s_kubelet::{Kubelet, KubeletConfig};
use k3s_lifecycle::Tasks;
use k3s_meta::user::UserInfo;
use k3s_netproxy::{Proxy, ProxyConfig};
use k3s_pki::ServerIdentity;
use k3s_runtime::{PodNetwork, Runtime, RuntimeConfig};
use k3s_sys::net::conntrack::Conntrack;
use k3s_sys::nft::Nftables;
use serde_json::json;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::server::Shared;
use crate::server::control_plane::{ControlPlane, component_client};
use crate::server::identity::NodeIdentity;
use crate::version::VERSION;

/// Cluster DNS listens here on the node's address; pods reach it through the `kube-dns` Service.
pub(crate) const DNS_PORT: u16 = 10_053;
/// Cluster DNS for `--disable`, as in K3s.
pub(crate) const DNS: &str = "coredns";
/// The kubelet's own health, for whoever is on the machine.
const HEALTHZ_PORT: u16 = 10_248;
const MASTERS: &str = "system:masters";

/// The parts that end when they are dropped.
pub(crate) struct Node {
    _runtime: Option<Runtime>,
}

/// Where the node keeps its state, for the server and for `killall`.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) runtime_root: PathBuf,
    pub(crate) runtime_state: PathBuf,
    pub(crate) kubelet: PathBuf,
}

impl Paths {
    pub(crate) fn of(data_dir: &Path) -> Self {
        Self {
            runtime_root: data_dir.join("agent/containerd"),
            runtime_state: "/run/k3s/containerd".into(),
            kubelet: "/var/lib/kubelet".into(),
        }
    }
}

pub(crate) async fn start(
    shared: &Shared,
    tasks: &Tasks,
    identity: &ServerIdentity,
    node: &NodeIdentity,
    plane: &ControlPlane,
    manifests: Manifests,
) -> Result<Node> {
    let settings = &shared.settings;
    let node_client = plane.clients.for_user(UserInfo::new(
        format!("system:node:{}", node.name),
        ["system:nodes", "system:authenticated"],
    ));
    let (endpoint, runtime) = start_containers(shared, tasks, node, plane).await?;
    shared.timeline.ready("runtime");
    let supervisor = plane.clients.for_user(UserInfo::new(
        "system:k3s-supervisor",
        [MASTERS, "system:authenticated"],
    ));
    let config = kubelet_config(shared, identity, node)?;
    Kubelet::start(
        config,
        node_client,
        Some(supervisor.clone()),
        &endpoint,
        tasks,
    )
    .await
    .context("start the kubelet")?;
    shared.timeline.ready("kubelet");
    if !settings.disable_kube_proxy {
        start_proxy(shared, tasks, node, plane)?;
        shared.timeline.ready("service proxy");
    }
    storage::start(shared, tasks, node, plane, manifests)?;
    shared.timeline.ready("storage");
    if shared.is_disabled(DNS) {
        tasks.spawn_until_stopped("dns removal", async move {
            if let Err(error) = k3s_dns::withdraw(&supervisor).await {
                warn!(
                    error = error.chain(),
                    "cannot remove the endpoints of cluster DNS"
                );
            }
        });
    } else {
        start_dns(
            shared,
            tasks,
            node,
            &plane.clients.for_controller(DNS),
            supervisor,
        )
        .await?;
        shared.timeline.ready("dns");
    }
    ingress::start(shared, tasks, node, plane).await?;
    Ok(Node { _runtime: runtime })
}

/// Pod network and container runtime: ours or others'. Answers with the runtime's CRI endpoint.
async fn start_containers(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
) -> Result<(String, Option<Runtime>)> {
    let settings = &shared.settings;
    let client = component_client(&plane.clients, "system:k3s-controller");
    let own_network = || network::start(shared, tasks, node, plane, &client);
    match (
        &settings.container_runtime_endpoint,
        settings.flannel_backend.as_str(),
    ) {
        // The other runtime calls the other network by itself.
        (Some(endpoint), "none") => Ok((endpoint.clone(), None)),
        (Some(endpoint), _) => {
            external_runtime::connect(own_network()?, tasks)?;
            Ok((endpoint.clone(), None))
        }
        (None, backend) => {
            let network = if backend == "none" {
                network::foreign(shared, tasks)
            } else {
                own_network()?
            };
            shared.timeline.ready("cni");
            let runtime = start_runtime(shared, tasks, network).await?;
            Ok((runtime.endpoint(), Some(runtime)))
        }
    }
}

async fn start_runtime(
    shared: &Shared,
    tasks: &Tasks,
    network: Arc<dyn PodNetwork>,
) -> Result<Runtime> {
    let settings = &shared.settings;
    let standard = RuntimeConfig::standard(
        &settings.data_dir,
        network,
        shared.clock.clone(),
        shared.random.clone(),
        tasks.child("runtime"),
    );
    let config = RuntimeConfig {
        registries: settings.registries.clone(),
        default_registry_endpoint: !settings.disable_default_registry_endpoint,
        ..standard
    };
    Runtime::start(config)
        .await
        .context("start the container runtime")
}

fn kubelet_config(
    shared: &Shared,
    identity: &ServerIdentity,
    node: &NodeIdentity,
) -> Result<KubeletConfig> {
    let settings = &shared.settings;
    let mut config = KubeletConfig {
        pod_manifests: Some(settings.data_dir.join("agent/pod-manifests")),
        serving_cert_pem: identity.kubelet_serving.cert_pem.clone().into_bytes(),
        serving_key_pem: Secret::new(
            identity
                .kubelet_serving
                .key_pem
                .reveal()
                .clone()
                .into_bytes(),
        ),
        client_ca_pem: identity.client_ca.cert_pem().as_bytes().to_vec(),
        healthz: Some(SocketAddr::from(([127, 0, 0, 1], HEALTHZ_PORT))),
        node_ips: node.addresses.clone(),
        external_ips: settings.node_external_ips.clone(),
        labels: settings.node_labels.iter().cloned().collect(),
        taints: settings.node_taints.clone(),
        control_plane: true,
        annotations: annotations(settings)?,
        cluster_dns: vec![settings.cluster_dns],
        cluster_domain: settings.cluster_domain.clone(),
        resolv_conf: settings
            .resolv_conf
            .clone()
            .unwrap_or_else(|| PathBuf::from("/etc/resolv.conf")),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
        ..KubeletConfig::new(&node.name, VERSION)
    };
    for (name, value) in &settings.kubelet_args {
        apply_argument(&mut config, name, value)?;
    }
    Ok(config)
}

/// The arguments of `--kubelet-arg` that act (see `k3s-config`).
fn apply_argument(config: &mut KubeletConfig, name: &str, value: &str) -> Result<()> {
    let bad = || format!("--kubelet-arg {name}={value}");
    match name {
        "max-pods" => config.max_pods = value.parse().with_context(bad)?,
        "cgroup-root" => config.cgroup_root = value.to_owned(),
        "root-dir" => config.root_dir = value.into(),
        "eviction-hard" => config.eviction.set_hard(value).with_context(bad)?,
        "eviction-minimum-reclaim" => config
            .eviction
            .set_minimum_reclaim(value)
            .with_context(bad)?,
        "eviction-pressure-transition-period" => {
            config
                .eviction
                .set_transition(duration(value).with_context(bad)?);
        }
        "image-gc-high-threshold" => {
            config.image_gc_high_percent = percent(value).with_context(bad)?
        }
        "image-gc-low-threshold" => {
            config.image_gc_low_percent = percent(value).with_context(bad)?
        }
        "pod-max-pids" => {
            let limit: i64 = value.parse().with_context(bad)?;
            config.pod_pids_limit = (limit > 0).then_some(limit);
        }
        "container-log-max-files" => config.log_max_files = value.parse().with_context(bad)?,
        "container-log-max-size" => {
            let size = k3s_meta::quantity::Quantity::parse(value)
                .map_err(|e| anyhow::anyhow!("{e}"))
                .with_context(bad)?;
            config.log_max_bytes = u64::try_from(size.value()).with_context(bad)?;
        }
        other => anyhow::bail!("--kubelet-arg {other} has no effect here"),
    }
    Ok(())
}

fn percent(text: &str) -> Result<u64> {
    let percent: u64 = text.parse()?;
    anyhow::ensure!(percent <= 100, "expected a percentage from 0 to 100");
    Ok(percent)
}

/// A duration as Go writes them, in whole units: `5m`, `1h30m`, `90s`, `500ms`.
fn duration(text: &str) -> Result<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: u32 = number
            .parse()
            .context("expected a duration such as 5m or 90s")?;
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        total += number
            * match unit {
                "h" => Duration::from_secs(3600),
                "m" => Duration::from_secs(60),
                "s" => Duration::from_secs(1),
                "ms" => Duration::from_millis(1),
                _ => anyhow::bail!("expected a duration such as 5m or 90s"),
            };
        rest = after;
    }
    anyhow::ensure!(!text.is_empty(), "expected a duration such as 5m or 90s");
    Ok(total)
}

/// `k3s.io/node-args`, `node-env`, `node-config-hash`, with secrets masked.
fn annotations(settings: &ServerSettings) -> Result<BTreeMap<String, String>> {
    let args = serde_json::to_string(&masked(&settings.args))?;
    let env: BTreeMap<String, String> = std::env::vars()
        .filter(|(name, _)| name.starts_with("K3S_"))
        .map(|(name, value)| {
            if is_secret(&name) {
                (name, "********".into())
            } else {
                (name, value)
            }
        })
        .collect();
    let env = json!(env).to_string();
    let hash = hex::encode_upper(Sha256::digest(format!("{args}{env}")));
    Ok(BTreeMap::from([
        ("k3s.io/node-args".into(), args),
        ("k3s.io/node-env".into(), env),
        ("k3s.io/node-config-hash".into(), format!("{hash}====")),
    ]))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    ["token", "secret", "password", "datastore"]
        .iter()
        .any(|part| name.contains(part))
}

/// The words after `k3s`, with the values of secret flags replaced.
fn masked(args: &[String]) -> Vec<String> {
    let mut words = vec!["server".to_owned()];
    let mut hide_next = false;
    for word in args {
        let flag = word.split('=').next().unwrap_or_default();
        let secret =
            flag == "-t" || (flag.starts_with("--") && is_secret(flag) && !flag.ends_with("-file"));
        match (std::mem::take(&mut hide_next), secret, word.contains('=')) {
            (true, ..) => words.push("********".into()),
            (false, true, true) => words.push(format!("{flag}=********")),
            (false, true, false) => {
                hide_next = true;
                words.push(word.clone());
            }
            _ => words.push(word.clone()),
        }
    }
    words
}

fn start_proxy(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    plane: &ControlPlane,
) -> Result<()> {
    let client = component_client(&plane.clients, "system:kube-proxy");
    let informers = Informers::new(client, shared.clock.clone(), shared.random.clone(), tasks);
    let config = ProxyConfig {
        node_name: node.name.clone(),
        pod_networks: vec![shared.settings.cluster_cidr],
        nft: Arc::new(Nftables::open()?),
        conntrack: Conntrack::open().ok(),
        forwards: plane.forwards.clone(),
        random: shared.random.clone(),
    };
    Proxy::start(config, &informers, &shared.metrics, tasks).context("start the service proxy")?;
    Ok(())
}

async fn start_dns(
    shared: &Shared,
    tasks: &Tasks,
    node: &NodeIdentity,
    reader: &Client,
    writer: Client,
) -> Result<()> {
    let settings = &shared.settings;
    let IpAddr::V4(service_ip) = settings.cluster_dns else {
        anyhow::bail!("--cluster-dns: only IPv4 is supported so far")
    };
    let informers = Informers::new(
        reader.clone(),
        shared.clock.clone(),
        shared.random.clone(),
        tasks,
    );
    let config = DnsConfig {
        listen: SocketAddr::new(node.address(), DNS_PORT),
        node_name: node.name.clone(),
        domain: settings.cluster_domain.clone(),
        service_ip,
        pod_networks: vec![IpNet::V4(settings.cluster_cidr)],
        resolv_conf: settings
            .resolv_conf
            .clone()
            .unwrap_or_else(|| PathBuf::from("/etc/resolv.conf")),
        clock: shared.clock.clone(),
        random: shared.random.clone(),
    };
    Dns::start(config, writer, &informers, &shared.metrics, tasks)
        .await
        .context("start cluster DNS")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_in_the_annotation() {
        let args = [
            "--token",
            "one",
            "--agent-token=two",
            "-t",
            "three",
            "--token-file",
            "/f",
            "--debug",
        ]
        .map(str::to_owned);
        assert_eq!(
            masked(&args),
            [
                "server",
                "--token",
                "********",
                "--agent-token=********",
                "-t",
                "********",
                "--token-file",
                "/f",
                "--debug"
            ]
        );
    }
}
