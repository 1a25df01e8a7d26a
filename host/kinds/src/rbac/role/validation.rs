//! Validation of roles.

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::rbac::policy_rule;

pub(super) fn validate(role: &Value) -> ErrorList {
    policy_rule::validate(role, true)
}
