//! The namespaces the system lives in.

use k3s_registry::Result;
use serde_json::json;

use super::Maker;

const NAMES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "default"];

pub(super) async fn ensure(maker: &Maker<'_>) -> Result<()> {
    for name in NAMES {
        if maker.find("", "namespaces", "", name)?.is_none() {
            let object =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            maker.create("", "namespaces", "", object).await?;
        }
    }
    Ok(())
}
