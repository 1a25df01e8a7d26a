//! Defaults of the claim inside a template.

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::resource::resourceclaim::defaults;

pub(super) fn default(template: &mut Value) {
    tree::set_missing(template, "spec.metadata", json!({}));
    defaults::default_requests(template, "spec.spec");
}
