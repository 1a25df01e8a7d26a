//! The node's heartbeat: its Lease in `kube-node-lease`, renewed every ten seconds.

use k3s_client::{Error, Object, Patch, resources};
use serde_json::{Value, json};

use crate::context::Ctx;

const NAMESPACE: &str = "kube-node-lease";
/// Four missed renewals make the node unknown (upstream's `--node-lease-duration-seconds`).
const DURATION_SECONDS: i64 = 40;

/// Renews for ever; a failed renewal is tried again after a second.
pub(crate) async fn run(ctx: Ctx) {
    loop {
        let wait = match renew(&ctx).await {
            Ok(()) => ctx.config.lease_period,
            Err(error) => {
                tracing::debug!(%error, "node lease not renewed");
                std::time::Duration::from_secs(1)
            }
        };
        if !ctx.tasks.sleep(wait).await {
            return;
        }
    }
}

async fn renew(ctx: &Ctx) -> Result<(), Error> {
    let name = &ctx.config.node_name;
    let now = k3s_base::clock::rfc3339_micro(ctx.config.clock.now());
    let spec =
        json!({"holderIdentity": name, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": now});
    let patch = Patch::Merge(json!({ "spec": spec }));
    match ctx
        .client
        .patch(&resources::LEASES, Some(NAMESPACE), name, &patch)
        .await
    {
        Err(error) if error.is_not_found() => {}
        other => return other.map(drop),
    }
    // The owner makes the Lease go with the Node.
    let Some(node) = ctx.node.object() else {
        return Ok(());
    };
    let lease = new_lease(&node, &spec);
    ctx.client
        .create(&resources::LEASES, Some(NAMESPACE), &lease)
        .await
        .map(drop)
}

fn new_lease(node: &Object, spec: &Value) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node.name(), "namespace": NAMESPACE, "ownerReferences": [
            {"apiVersion": "v1", "kind": "Node", "name": node.name(), "uid": node.uid()}]},
        "spec": spec,
    })
}
