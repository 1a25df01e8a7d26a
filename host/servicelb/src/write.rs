//! Performs writes to Services.

use k3s_client::{Client, Object, Patch, resources};
use serde_json::json;

use crate::decide::Step;

/// Performs one write. The Service must not have changed since it was read.
pub(crate) async fn write(
    client: &Client,
    service: &Object,
    step: Step,
) -> k3s_client::Result<Object> {
    let version = service.resource_version();
    let (namespace, name) = (service.ns(), service.name());
    match step {
        Step::Finalizers(list) => {
            let patch = json!({"metadata": {"resourceVersion": version, "finalizers": list}});
            client
                .patch(&resources::SERVICES, namespace, name, &Patch::Merge(patch))
                .await
        }
        Step::Status(status) => {
            let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
            client
                .patch_status(&resources::SERVICES, namespace, name, &Patch::Merge(patch))
                .await
        }
    }
}
