//! Defaults of mutating webhook configurations.

use k3s_meta::tree;
use serde_json::Value;

use crate::admissionregistration::shared;

pub(super) fn default(configuration: &mut Value) {
    for webhook in tree::each_mut(configuration, "webhooks") {
        shared::default_webhook(webhook);
        tree::set_missing(webhook, "reinvocationPolicy", "Never");
    }
}
