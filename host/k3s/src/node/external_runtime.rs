//! `--container-runtime-endpoint`: the containers of another runtime on our pod network.
//!
//! The kubelet speaks CRI to any runtime; what is left to do is the network. A foreign runtime calls CNI
//! plugins, so this executable is installed as one, and its calls are served here.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_cni::InstallPaths;
use k3s_lifecycle::Tasks;
use k3s_runtime::PodNetwork;
use tracing::info;

/// Where calls are served; the folder is root's.
const SOCKET: &str = "/run/k3s/cni.sock";

/// Makes the foreign runtime's pods use `network`.
pub(crate) fn connect(network: Arc<dyn PodNetwork>, tasks: &Tasks) -> Result<()> {
    let socket = Path::new(SOCKET);
    k3s_cni::serve(socket, network, tasks)
        .context("serve the container runtime's network calls")?;
    let executable = std::env::current_exe().context("find this executable")?;
    k3s_cni::install(&InstallPaths::default(), socket, &executable)
        .context("install the CNI plugin")?;
    info!(
        socket = SOCKET,
        "the container runtime uses this pod network"
    );
    Ok(())
}
