//! Validation of stored pod templates.

use k3s_meta::field::{ErrorList, Path};
use serde_json::Value;

use crate::core::podspec::validation;
use crate::tree;

pub(super) fn validate(object: &Value) -> ErrorList {
    validation::template(tree::at(object, "template"), &Path::new("template"))
}
