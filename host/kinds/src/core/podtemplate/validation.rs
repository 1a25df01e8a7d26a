//! Validation of stored pod templates.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::validation;

pub(super) fn validate(object: &Value) -> ErrorList {
    validation::template(tree::get(object, "template"), &Path::new("template"))
}
