//! The settings that the composition hands to the kubelet.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use k3s_base::{Clock, Random, Secret};

use crate::eviction::settings::EvictionSettings;

/// Everything the kubelet is configured with; it reads no flags and no environment.
#[derive(Clone, Debug)]
pub struct KubeletConfig {
    /// Name of the Node object.
    pub node_name: String,
    /// `/var/lib/kubelet`.
    pub root_dir: PathBuf,
    /// Directory of static pod manifests (`<data-dir>/agent/pod-manifests`).
    pub pod_manifests: Option<PathBuf>,
    /// `/var/log/pods`.
    pub pod_log_dir: PathBuf,
    /// `/var/log/containers`, links into `pod_log_dir`.
    pub container_log_dir: PathBuf,
    /// `nodeInfo.kubeletVersion`, for instance `v1.36.0+k3s1`.
    pub version: String,
    /// Where HTTPS is served, normally `0.0.0.0:10250`.
    pub listen: SocketAddr,
    /// Where `/healthz` is served without TLS, normally `127.0.0.1:10248`; `None` for nowhere.
    pub healthz: Option<SocketAddr>,
    /// Serving certificate chain, PEM.
    pub serving_cert_pem: Vec<u8>,
    /// Key of the serving certificate, PEM.
    pub serving_key_pem: Secret<Vec<u8>>,
    /// CA that client certificates must come from, PEM.
    pub client_ca_pem: Vec<u8>,
    /// The node's addresses, primary first; empty: found from the default route.
    pub node_ips: Vec<IpAddr>,
    /// Addresses for `ExternalIP`.
    pub external_ips: Vec<IpAddr>,
    /// `--node-label`, applied at first registration only.
    pub labels: BTreeMap<String, String>,
    /// `--node-taint` (`key=value:Effect`), first registration only.
    pub taints: Vec<String>,
    /// This node also runs a server: it gets the control-plane role label.
    pub control_plane: bool,
    /// `k3s.io/node-args`, `k3s.io/node-env`, `k3s.io/node-config-hash` and the like.
    pub annotations: BTreeMap<String, String>,
    /// Cluster DNS addresses, normally `10.43.0.10`.
    pub cluster_dns: Vec<IpAddr>,
    /// Cluster domain, normally `cluster.local`.
    pub cluster_domain: String,
    /// The host's resolver file.
    pub resolv_conf: PathBuf,
    /// cgroup under which `kubepods` is made; `/` by default.
    pub cgroup_root: String,
    /// Where cgroup hierarchies are mounted.
    pub cgroup_mount: PathBuf,
    /// Most pods on this node.
    pub max_pods: u32,
    /// Most processes in one pod; `None` for no limit.
    pub pod_pids_limit: Option<i64>,
    /// Time between lease renewals.
    pub lease_period: Duration,
    /// Images are collected above this share of the image file system, in percent.
    pub image_gc_high_percent: u64,
    /// ... down to this share.
    pub image_gc_low_percent: u64,
    /// When pods are evicted.
    pub eviction: EvictionSettings,
    /// A container log is rotated at this size.
    pub log_max_bytes: u64,
    /// Log files kept per container.
    pub log_max_files: usize,
    /// Image pulls at the same time.
    pub parallel_pulls: usize,
    /// Seccomp profiles for `Localhost` are below this directory.
    pub seccomp_root: PathBuf,
    /// Where all times come from.
    pub clock: Clock,
    /// Jitter and names come from here.
    pub random: Random,
}

impl KubeletConfig {
    /// Defaults as K3s runs its kubelet; identity and certificates are the caller's to fill.
    #[must_use]
    pub fn new(node_name: &str, version: &str) -> Self {
        Self {
            node_name: node_name.to_owned(),
            root_dir: PathBuf::from("/var/lib/kubelet"),
            pod_manifests: None,
            pod_log_dir: PathBuf::from("/var/log/pods"),
            container_log_dir: PathBuf::from("/var/log/containers"),
            version: version.to_owned(),
            listen: SocketAddr::from(([0, 0, 0, 0], 10250)),
            healthz: None,
            serving_cert_pem: Vec::new(),
            serving_key_pem: Secret::new(Vec::new()),
            client_ca_pem: Vec::new(),
            node_ips: Vec::new(),
            external_ips: Vec::new(),
            labels: BTreeMap::new(),
            taints: Vec::new(),
            control_plane: false,
            annotations: BTreeMap::new(),
            cluster_dns: vec![IpAddr::from([10, 43, 0, 10])],
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            cgroup_root: "/".to_owned(),
            cgroup_mount: PathBuf::from("/sys/fs/cgroup"),
            max_pods: 110,
            pod_pids_limit: None,
            lease_period: Duration::from_secs(10),
            image_gc_high_percent: 85,
            image_gc_low_percent: 80,
            eviction: EvictionSettings::default(),
            log_max_bytes: 10 << 20,
            log_max_files: 5,
            parallel_pulls: 4,
            seccomp_root: PathBuf::from("/var/lib/kubelet/seccomp"),
            clock: Clock::system(),
            random: Random::from_os(),
        }
    }

    /// `pods/<uid>` below the root directory.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        self.root_dir.join("pods").join(uid)
    }
}
