//! Zero values that every signing request shows.

use serde_json::{Value, json};

use crate::tree;

pub(crate) fn default(request: &mut Value) {
    tree::set_missing(request, "status", json!({}));
}
