//! What an update of a secret keeps (`pkg/registry/core/secret/strategy.go`).

use k3s_meta::tree;
use serde_json::Value;

use crate::context::Context;

/// An update that leaves the type out means the type that the secret has.
pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    if tree::text(new, "type").is_empty() {
        tree::copy(new, old, "type");
    }
}
