//! The node of a machine that runs no server: the same stages as those of a server's own node, with
//! clients that speak HTTPS.
//!
//! Joining a cluster is not here yet. Whoever starts an [`Agent`] has its certificates, clients and the
//! cluster's settings already.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k3s_base::Clock;
use k3s_client::ClientFactory;
use k3s_config::{ClusterSettings, NodeSettings};
use k3s_pki::NodeIdentity;
use k3s_plugin_host::{Host, HostOptions, PluginMetrics};

use crate::ambient::Ambient;
use crate::node::context::{NodeBatteries, NodeContext};
use crate::node::local::LocalNode;
use crate::node::service_forwards::ServiceForwards;
use crate::node::{self, Node, kernel};
use crate::plugins::bundled_default;
use crate::plugins::reload::Swaps;
use crate::stages::{Stage, Stages};

const NODE: Stage = Stage {
    name: "node",
    stop_within: Duration::from_secs(2),
};

/// What an agent gets from its machine and from the server that it joined.
#[derive(Debug)]
pub struct AgentOptions {
    /// Name of the Node object.
    pub name: String,
    /// The node's addresses, the primary one first.
    pub addresses: Vec<IpAddr>,
    /// Certificates of the kubelet, and whom it trusts.
    pub identity: NodeIdentity,
    /// Clients of the API as the users of a node's components.
    pub clients: ClientFactory,
    /// Settings of this node.
    pub settings: NodeSettings,
    /// Settings that all nodes share.
    pub cluster: ClusterSettings,
    /// Time.
    pub clock: Clock,
}

/// A running node. Its tasks end with [`Agent::stop`]; its pods go on.
pub struct Agent {
    stages: Stages,
    _node: Node,
}

impl Agent {
    /// Starts all stages of the node, with the bundled batteries.
    ///
    /// # Errors
    /// When a stage does not start; the stages before it are stopped then.
    pub async fn start(options: AgentOptions) -> Result<Self> {
        kernel::prepare();
        let mut stages = Stages::default();
        let ambient = Ambient::new(options.clock.clone(), stages.begin(NODE));
        let started = async { node::start(&context(options, ambient)?).await }.await;
        match started {
            Ok(node) => Ok(Self {
                stages,
                _node: node,
            }),
            Err(error) => {
                stages.stop().await;
                Err(error)
            }
        }
    }

    /// Stops all stages.
    pub async fn stop(self) {
        self.stages.stop().await;
    }
}

fn context(options: AgentOptions, ambient: Ambient) -> Result<NodeContext> {
    let plugin_host = Host::new(HostOptions {
        cache_dir: Some(options.settings.data_dir.join("agent/plugins")),
        metrics: PluginMetrics::registered(&ambient.metrics),
    })?;
    Ok(NodeContext {
        service_forwards: Arc::new(ServiceForwards::new(&options.name)),
        local: LocalNode {
            name: options.name,
            addresses: options.addresses,
        },
        identity: options.identity,
        settings: Arc::new(options.settings),
        cluster: Arc::new(options.cluster),
        clients: options.clients,
        plugin_host,
        batteries: NodeBatteries {
            cni: bundled_default("cni")?,
            storage: bundled_default("storage")?,
            ingress: bundled_default("ingress")?,
        },
        swaps: Swaps::default(),
        // The cluster's settings of storage are the server's.
        on_storage_config: Arc::new(|_| {}),
        control_plane: false,
        command: "agent",
        ambient,
    })
}
