//! Defaults of mutating webhook configurations.

use serde_json::Value;

use crate::admissionregistration::shared;
use crate::tree;

pub(super) fn default(configuration: &mut Value) {
    for webhook in tree::each_mut(configuration, "webhooks") {
        shared::default_webhook(webhook);
        tree::set_missing(webhook, "reinvocationPolicy", "Never");
    }
}
