//! K3s' cloud controller for nodes: addresses from the annotations that agents set, a provider ID,
//! and the `uninitialized` taint taken away when both are there.

mod plan;

use k3s_client::resources::NODES;
use k3s_client::{Client, EventRecorder, Informer, Patch};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};
use serde_json::json;

use crate::common::write;
use crate::context::Context;

struct CloudNodeController {
    client: Client,
    recorder: EventRecorder,
    nodes: Informer,
}

pub(crate) fn start(context: &Context) {
    if !context.config.cloud_node {
        return;
    }
    let client = context
        .config
        .clients
        .for_user(k3s_meta::user::UserInfo::new(
            "k3s-cloud-controller-manager",
            ["system:authenticated"],
        ));
    let nodes = context.informers.all(&NODES);
    let reconciler = CloudNodeController {
        recorder: context.recorder(&client, "cloud-node-controller"),
        client,
        nodes: nodes.clone(),
    };
    Controller::new("cloud-node-controller")
        .watch_own(&nodes)
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for CloudNodeController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(mut node) = self.nodes.get(key) else {
            return Ok(Outcome::Done);
        };
        if node.is_deleting() {
            return Ok(Outcome::Done);
        }
        if let Some(status) = plan::status(node.value()) {
            let written = write::status(&self.client, &NODES, &node, status).await?;
            node = written.unwrap_or(node);
        }
        let Some((spec, initialized)) = plan::spec(node.value(), key) else {
            return Ok(Outcome::Done);
        };
        let patch = Patch::Merge(json!({
            "metadata": {
                "resourceVersion": node.resource_version(),
            },
            "spec": spec,
        }));
        self.client.patch(&NODES, None, key, &patch).await?;
        if initialized {
            let message = "Node synced successfully";
            self.recorder.normal(&*node, "Synced", message);
        }
        Ok(Outcome::Done)
    }
}
