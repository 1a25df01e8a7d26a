//! Validation of validating webhook configurations.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::admissionregistration::shared;

pub(super) fn validate(configuration: &Value) -> ErrorList {
    shared::validate_configuration(configuration)
}
