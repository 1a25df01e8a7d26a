//! What building a container's configuration reads besides the pod: settings, the API, the node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::fields::NodeContext;
use crate::api::ApiReader;
use crate::config::KubeletConfig;
use crate::model::{self, Observed};
use crate::node::state::NodeState;

/// See the module.
pub(crate) struct ContainerContext {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) api: Arc<ApiReader>,
    pub(crate) node: Arc<NodeState>,
}

impl ContainerContext {
    /// What environment and files show of the node and of the pod's addresses.
    pub(crate) fn node_context(&self, pod: &Pod, observed: &Observed) -> NodeContext {
        NodeContext {
            node_ips: self.node.ip_texts().to_vec(),
            pod_ips: self.pod_ips(pod, observed),
            allocatable: self.node.allocatable(),
        }
    }

    /// The pod's addresses: the node's where it shares the node's network; none without a sandbox.
    pub(crate) fn pod_ips(&self, pod: &Pod, observed: &Observed) -> Vec<String> {
        if model::host_network(pod) {
            return self.node.ip_texts().to_vec();
        }
        let sandbox = observed.ready_sandbox();
        sandbox.map(|s| s.ips.clone()).unwrap_or_default()
    }
}
