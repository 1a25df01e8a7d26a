//! The node: container runtime, kubelet, service proxy, cluster DNS, and the batteries of a node.
//!
//! Everything here is made of one [`NodeContext`], and nothing below this folder names the server (a rule
//! of `tests/tidy`). A server starts the node of its own process with clients that
//! call the API in process; an agent starts the same with clients over HTTPS.
//!
//! Order: pod network, runtime → kubelet → service proxy → storage → DNS → ingress.

pub(crate) mod context;
pub(crate) mod dns;
mod external_runtime;
pub(crate) mod ingress;
pub(crate) mod kernel;
mod kubelet;
pub(crate) mod local;
mod network;
mod proxy;
mod runtime;
pub(crate) mod service_forwards;
pub(crate) mod storage;

use std::path::{Path, PathBuf};

use anyhow::Result;
use k3s_runtime::Runtime;

use context::NodeContext;

/// The parts that end when they are dropped.
pub(crate) struct Node {
    _runtime: Option<Runtime>,
}

/// Where the node keeps its state, for the node and for `killall`.
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

/// Starts a node. Its tasks stop with those of the context; pods stay.
pub(crate) async fn start(context: &NodeContext) -> Result<Node> {
    let timeline = &context.ambient.timeline;
    let containers = runtime::start(context).await?;
    timeline.ready("runtime");
    kubelet::start(context, &containers.endpoint).await?;
    timeline.ready("kubelet");
    if !context.cluster.disable_kube_proxy {
        proxy::start(context)?;
        timeline.ready("service proxy");
    }
    storage::start(context)?;
    timeline.ready("storage");
    dns::start(context).await?;
    ingress::start(context).await?;
    Ok(Node {
        _runtime: containers.runtime,
    })
}
