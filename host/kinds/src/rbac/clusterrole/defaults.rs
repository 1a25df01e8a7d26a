//! The list of rules is shown even when there are none.

use serde_json::Value;

use crate::rbac::policy_rule;

pub(super) fn default(role: &mut Value) {
    policy_rule::default(role);
}
