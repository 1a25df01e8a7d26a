//! Zero values that every service CIDR shows.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(cidr: &mut Value) {
    tree::set_missing(cidr, "spec", json!({}));
    tree::set_missing(cidr, "status", json!({}));
}
