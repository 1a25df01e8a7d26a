//! Warnings about service accounts; beyond their metadata nothing can be wrong with them.

use k3s_meta::tree;
use serde_json::Value;

pub(super) fn warnings(account: &Value) -> Vec<String> {
    let key = "kubernetes.io/enforce-mountable-secrets";
    if !tree::map(account, "metadata.annotations").contains_key(key) {
        return Vec::new();
    }
    vec![format!(
        "metadata.annotations[{key}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    )]
}
