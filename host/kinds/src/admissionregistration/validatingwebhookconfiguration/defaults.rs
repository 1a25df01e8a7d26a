//! Defaults of validating webhook configurations.

use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::shared;

pub(super) fn default(configuration: &mut Value) {
    tree::each_mut(configuration, "webhooks").for_each(shared::default_webhook);
}
