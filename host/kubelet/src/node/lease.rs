//! The node's heartbeat: its Lease in `kube-node-lease`, renewed every ten seconds.

use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::chain;
use k3s_client::{Client, Error, Object, Patch, resources};
use k3s_lifecycle::Tasks;
use serde_json::{Value, json};

use super::state::NodeState;
use crate::config::KubeletConfig;

const NAMESPACE: &str = "kube-node-lease";
/// Four missed renewals make the node unknown (upstream's `--node-lease-duration-seconds`).
const DURATION_SECONDS: i64 = 40;

/// After a failed renewal.
const RETRY: Duration = Duration::from_secs(1);

/// Renews the lease.
pub(crate) struct LeaseRenewer {
    pub(crate) config: Arc<KubeletConfig>,
    pub(crate) client: Client,
    pub(crate) node: Arc<NodeState>,
}

impl LeaseRenewer {
    /// Renews until the kubelet stops.
    pub(crate) async fn run(self, tasks: Tasks) {
        loop {
            let wait = match self.renew().await {
                Ok(()) => self.config.lease_period,
                Err(error) => {
                    tracing::debug!(error = chain(&error), "node lease not renewed");
                    RETRY
                }
            };
            if !tasks.sleep(wait).await {
                return;
            }
        }
    }

    async fn renew(&self) -> Result<(), Error> {
        let name = &self.config.node_name;
        let now = k3s_base::clock::rfc3339_micro(self.config.clock.now());
        let spec = json!({"holderIdentity": name, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now});
        let patch = Patch::Merge(json!({ "spec": spec }));
        let patched = self
            .client
            .patch(&resources::LEASES, Some(NAMESPACE), name, &patch)
            .await;
        match patched {
            Err(error) if error.is_not_found() => {}
            other => return other.map(drop),
        }
        // Owned by the Node, so that the Lease is deleted with it.
        let Some(node) = self.node.object() else {
            return Ok(());
        };
        let lease = new_lease(&node, &spec);
        let created = self
            .client
            .create(&resources::LEASES, Some(NAMESPACE), &lease)
            .await;
        created.map(drop)
    }
}

fn new_lease(node: &Object, spec: &Value) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node.name(), "namespace": NAMESPACE, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid()}]},
        "spec": spec,
    })
}
