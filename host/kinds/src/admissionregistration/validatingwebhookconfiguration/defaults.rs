//! Defaults of validating webhook configurations.

use serde_json::Value;

use crate::admissionregistration::shared;
use crate::tree;

pub(super) fn default(configuration: &mut Value) {
    tree::each_mut(configuration, "webhooks").for_each(shared::default_webhook);
}
