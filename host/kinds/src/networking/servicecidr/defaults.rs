//! Zero values that every service CIDR shows.

use serde_json::{Value, json};

use crate::tree;

pub(super) fn default(cidr: &mut Value) {
    tree::set_missing(cidr, "spec", json!({}));
    tree::set_missing(cidr, "status", json!({}));
}
