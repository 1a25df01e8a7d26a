//! Zero values that every event shows.

use k3s_meta::tree;
use serde_json::{Value, json};

pub(super) fn default(event: &mut Value) {
    tree::set_missing(event, "source", json!({}));
    tree::set_missing(event, "reportingComponent", "");
    tree::set_missing(event, "reportingInstance", "");
}
