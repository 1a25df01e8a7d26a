//! Defaults of the references of a binding.

use serde_json::Value;

use crate::rbac::subjects;

pub(super) fn default(binding: &mut Value) {
    subjects::default(binding);
}
