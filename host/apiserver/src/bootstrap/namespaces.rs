//! The namespaces the system lives in.

use k3s_registry::Result;
use serde_json::json;

use super::Bootstrapper;

const NAMES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

pub(super) async fn ensure(bootstrapper: &Bootstrapper<'_>) -> Result<()> {
    for name in NAMES {
        if bootstrapper.find("", "namespaces", "", name)?.is_none() {
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            bootstrapper.create("", "namespaces", "", object).await?;
        }
    }
    Ok(())
}
