//! Defaults of token requests.

use serde_json::Value;

use crate::tree;

/// A token lives an hour unless asked otherwise.
pub(super) fn default(request: &mut Value) {
    tree::set_missing(request, "spec.expirationSeconds", 3600);
}
