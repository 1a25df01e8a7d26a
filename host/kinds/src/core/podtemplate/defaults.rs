//! Defaults of stored pod templates.

use serde_json::Value;

use crate::core::podspec::defaults;

pub(super) fn default(object: &mut Value) {
    defaults::template(object, "template");
}
