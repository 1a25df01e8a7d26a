//! What is kept of a service account (`pkg/registry/core/serviceaccount/strategy.go`).

use k3s_meta::tree;
use serde_json::{Map, Value};

/// Of references to secrets nothing but the name means anything.
pub(super) fn clean(account: &mut Value) {
    for secret in tree::each_mut(account, "secrets") {
        let name = tree::text(secret, "name").to_owned();
        *secret = Value::Object(Map::new());
        if !name.is_empty() {
            tree::set(secret, "name", name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_to_secrets_keep_their_names() {
        let mut account =
            json!({"secrets": [{"name": "a", "uid": "u", "kind": "Secret"}, {"namespace": "n"}]});
        clean(&mut account);
        assert_eq!(account["secrets"], json!([{"name": "a"}, {}]));
    }
}
