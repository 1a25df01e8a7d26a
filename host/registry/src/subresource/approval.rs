//! `certificatesigningrequests/NAME/approval`: conditions and nothing else.

use k3s_kinds::validate_status_update;
use k3s_meta::{ErrorList, tree};
use serde_json::Value;

use crate::{Resource, Scope};

/// The change that `approval` may make.
pub const APPROVAL: Scope = Scope::Part {
    subresource: "approval",
    prepare,
    validate,
};

fn prepare(new: &mut Value, old: &Value) {
    let conditions = tree::get(new, "status.conditions").cloned();
    let mut kept = old.clone();
    if let Some(conditions) = conditions {
        tree::set(&mut kept, "status.conditions", conditions);
    }
    *new = kept;
}

fn validate(resource: &Resource, new: &Value, old: &Value) -> ErrorList {
    validate_status_update(&*resource.rules, new, old, false)
}
