//! Defaults of the claim inside a template.

use serde_json::{Value, json};

use crate::resource::resourceclaim::defaults;
use crate::tree;

pub(super) fn default(template: &mut Value) {
    tree::set_missing(template, "spec.metadata", json!({}));
    defaults::default_requests(template, "spec.spec");
}
