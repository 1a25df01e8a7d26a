//! Zero values that every signing request shows.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(crate) fn default(request: &mut Value) {
    tree::set_missing(request, "status", json!({}));
}
