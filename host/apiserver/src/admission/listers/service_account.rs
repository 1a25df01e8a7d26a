//! What pods take over from the account they run as.

use k3s_meta::tree;
use k3s_registry::mirror::Decode;
use serde_json::Value;

pub(in crate::admission) struct ServiceAccount {
    /// Whether pods that say nothing about it get a token.
    pub(in crate::admission) automounts_token: Option<bool>,
    pub(in crate::admission) image_pull_secrets: Vec<Value>,
}

impl Decode for ServiceAccount {
    const GROUP: &'static str = "";
    const PLURAL: &'static str = "serviceaccounts";

    fn decode(account: &Value) -> Self {
        let automount = tree::get(account, "automountServiceAccountToken");
        Self {
            automounts_token: automount.and_then(Value::as_bool),
            image_pull_secrets: tree::list(account, "imagePullSecrets").to_vec(),
        }
    }
}
