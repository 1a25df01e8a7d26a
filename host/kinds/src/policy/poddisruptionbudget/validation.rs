//! Validation of pod disruption budgets.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::{checks, conditions};

pub(super) fn validate(budget: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(budget, "spec").unwrap_or(&Value::Null);
    let bounds = ["minAvailable", "maxUnavailable"].map(|name| (name, tree::get(spec, name)));
    if bounds.iter().all(|(_, bound)| bound.is_some()) {
        errors.push(field::invalid(
            &path,
            spec,
            "minAvailable and maxUnavailable cannot be both set",
        ));
    }
    for (name, bound) in bounds {
        if let Some(bound) = bound {
            checks::int_or_percent(&mut errors, bound, &path.child(name));
            checks::not_above_hundred(&mut errors, bound, &path.child(name));
        }
    }
    if let Some(selector) = tree::get(spec, "selector") {
        errors.append(checks::label_selector(selector, &path.child("selector")));
    }
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    checks::supported(
        &mut errors,
        spec,
        "unhealthyPodEvictionPolicy",
        &path,
        &policies,
    );
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = tree::get(new, "status").unwrap_or(&Value::Null);
    conditions::validate(&mut errors, status, &Path::new("status"));
    for name in [
        "disruptionsAllowed",
        "currentHealthy",
        "desiredHealthy",
        "expectedPods",
    ] {
        checks::not_negative(&mut errors, status, name, &Path::new("status"));
    }
    errors
}
