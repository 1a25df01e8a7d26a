//! Defaults of token requests.

use k3s_meta::tree;
use serde_json::Value;

/// A token lives an hour unless asked otherwise.
pub(super) fn default(request: &mut Value) {
    tree::set_missing(request, "spec.expirationSeconds", 3600);
}
