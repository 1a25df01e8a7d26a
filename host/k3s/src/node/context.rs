//! Everything that a node is made of. A server fills it for the node in its own process, an agent for its
//! machine.

use std::sync::Arc;

use k3s_client::ClientFactory;
use k3s_config::{ClusterSettings, NodeSettings, PackagedComponent};
use k3s_pki::NodeIdentity;
use k3s_plugin_host::Host;

use crate::ambient::Ambient;
use crate::node::local::LocalNode;
use crate::node::service_forwards::ServiceForwards;
use crate::plugins::Component;
use crate::plugins::reload::Swaps;

/// Everything that the parts of a node are given.
pub(crate) struct NodeContext {
    /// Name and addresses.
    pub(crate) local: LocalNode,
    /// Certificates of the kubelet, and whom it trusts.
    pub(crate) identity: NodeIdentity,
    /// Settings of this node.
    pub(crate) settings: Arc<NodeSettings>,
    /// Settings that all nodes share.
    pub(crate) cluster: Arc<ClusterSettings>,
    /// Clients of the API, in process or over HTTPS.
    pub(crate) clients: ClientFactory,
    /// Where the batteries run.
    pub(crate) plugin_host: Host,
    /// The batteries of a node.
    pub(crate) batteries: NodeBatteries,
    /// Where the batteries are entered, so that a reload can replace them.
    pub(crate) swaps: Swaps,
    /// What the service proxy forwards for LoadBalancer Services.
    pub(crate) service_forwards: Arc<ServiceForwards>,
    /// Called with the storage plugin's configuration when a reload changes it.
    pub(crate) on_storage_config: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether a server runs on this node too, which its labels show.
    pub(crate) control_plane: bool,
    /// The command that the node was started with: `server` or `agent`.
    pub(crate) command: &'static str,
    /// The node's stage.
    pub(crate) ambient: Ambient,
}

/// The components that serve as a node's batteries.
pub(crate) struct NodeBatteries {
    pub(crate) cni: Component,
    pub(crate) storage: Component,
    pub(crate) ingress: Component,
}

impl NodeContext {
    /// Whether `--disable` leaves a component out.
    pub(crate) fn is_disabled(&self, component: PackagedComponent) -> bool {
        self.cluster.disabled.contains(component)
    }
}
