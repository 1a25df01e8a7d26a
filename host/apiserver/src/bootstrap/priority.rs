//! The two priority classes of the system's own pods.

use k3s_registry::Result;
use serde_json::json;

use super::Bootstrapper;

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: [(&str, i64, &str); 2] = [
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
];

pub(super) async fn ensure(bootstrapper: &Bootstrapper<'_>) -> Result<()> {
    for (name, value, description) in CLASSES {
        if bootstrapper
            .find(GROUP, "priorityclasses", "", name)?
            .is_none()
        {
            let object = json!({
                "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                "metadata": {"name": name}, "value": value, "description": description,
            });
            bootstrapper
                .create(GROUP, "priorityclasses", "", object)
                .await?;
        }
    }
    Ok(())
}
