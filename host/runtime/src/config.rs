//! The runtime's configuration and dependencies.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use k3s_base::{Clock, Random};
use k3s_lifecycle::Tasks;

use crate::network::PodNetwork;

/// Everything a [`crate::Runtime`] needs.
#[derive(Clone)]
pub struct RuntimeConfig {
    /// Images, layers and container records: `<data-dir>/agent/containerd`.
    pub root: PathBuf,
    /// Sockets and mounts that a reboot ends: `/run/k3s/containerd`.
    pub state: PathBuf,
    /// The CRI socket: `/run/k3s/containerd/containerd.sock`.
    pub socket: PathBuf,
    /// Archives and lists imported at start and while running: `<data-dir>/agent/images`.
    pub images_dir: PathBuf,
    /// `/etc/rancher/k3s/registries.yaml`; need not exist.
    pub registries: PathBuf,
    /// Whether a registry that has mirrors is asked itself when all of them failed.
    pub default_registry_endpoint: bool,
    /// Where network namespaces are held: `/var/run/netns`.
    pub netns_dir: PathBuf,
    /// Where exec and attach are streamed; loopback only. `127.0.0.1:10010`; port 0 = any.
    pub streaming: SocketAddr,
    /// The control group of all shims, outside of the server's own: `/k3s-shims`.
    pub shim_cgroup: String,
    /// The parent of containers whose pod names none: `/k8s.io`.
    pub default_cgroup_parent: String,
    /// The executable that is run as a shim and to unpack layers: `/proc/self/exe`. Its `main` must
    /// call [`crate::child_main`] when [`crate::is_child_invocation`].
    pub shim_executable: PathBuf,
    /// What connects pods.
    pub network: Arc<dyn PodNetwork>,
    /// Wall and monotonic time.
    pub clock: Clock,
    /// Randomness of identifiers and tokens.
    pub random: Random,
    /// The group all tasks belong to.
    pub tasks: Tasks,
}

impl RuntimeConfig {
    /// The layout K3s has below `data_dir` (`/var/lib/rancher/k3s`) and `/run/k3s`.
    #[must_use]
    pub fn standard(
        data_dir: &std::path::Path,
        network: Arc<dyn PodNetwork>,
        clock: Clock,
        random: Random,
        tasks: Tasks,
    ) -> Self {
        let state = PathBuf::from("/run/k3s/containerd");
        Self {
            root: data_dir.join("agent/containerd"),
            socket: state.join("containerd.sock"),
            state,
            images_dir: data_dir.join("agent/images"),
            registries: "/etc/rancher/k3s/registries.yaml".into(),
            default_registry_endpoint: true,
            netns_dir: "/var/run/netns".into(),
            streaming: SocketAddr::from(([127, 0, 0, 1], 10010)),
            shim_cgroup: "/k3s-shims".into(),
            default_cgroup_parent: "/k8s.io".into(),
            shim_executable: "/proc/self/exe".into(),
            network,
            clock,
            random,
            tasks,
        }
    }
}
