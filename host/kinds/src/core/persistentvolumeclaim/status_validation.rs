//! Validation of the status of claims (`ValidatePersistentVolumeClaimStatusUpdate`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::core::podspec::validation::resource_names::is_native;
use crate::core::podspec::validation::resources::basic_amount;

/// States of a resize, in the order in which messages name them.
const RESIZES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if !tree::has(new, "spec.accessModes") {
        errors.push(field::required(&Path::new("Spec.accessModes"), ""));
    }
    let path = Path::new("status.capacity");
    for (name, amount) in tree::map(new, "status.capacity") {
        basic_amount(&mut errors, amount, &path.key(name));
    }
    let path = Path::new("status.allocatedResourceStatuses");
    for (name, state) in tree::map(new, "status.allocatedResourceStatuses") {
        errors.append(resource_key(name, &path));
        if !RESIZES.contains(&state.as_str().unwrap_or_default()) {
            errors.push(field::not_supported(&path, name, &RESIZES));
        }
    }
    let path = Path::new("status.allocatedResources");
    for (name, amount) in tree::map(new, "status.allocatedResources") {
        let key = resource_key(name, &path);
        if key.is_empty() {
            basic_amount(&mut errors, amount, &path.key(name));
        }
        errors.append(key);
    }
    errors
}

/// Of the resources without a domain, a claim has storage alone. Errors name the map, not the entry.
fn resource_key(name: &str, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let outcome = names::is_qualified_name(name);
    if outcome.is_ok() && is_native(name) && name != "storage" {
        errors.push(field::not_supported(path, name, &["storage"]));
    }
    errors.check(path, name, outcome);
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_are_worded_as_upstream() {
        for (status, text) in [
            (
                json!({"capacity": {"storage": "-1"}}),
                "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            ),
            (
                json!({"allocatedResourceStatuses": {"storage": "Odd"}}),
                "status.allocatedResourceStatuses: Unsupported value: \"storage\": supported values: \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"",
            ),
            (
                json!({"allocatedResources": {"cpu": "1"}}),
                "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"",
            ),
            (
                json!({"allocatedResources": {"storage": "-1"}}),
                "status.allocatedResources[storage]: Invalid value: -1: must be a valid resource quantity",
            ),
        ] {
            let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"]}, "status": status});
            let errors = validate_status_update(&claim, &Value::Null);
            assert_eq!(errors.to_string(), text);
        }
        assert_eq!(
            validate_status_update(&json!({}), &Value::Null).to_string(),
            "Spec.accessModes: Required value"
        );
    }
}
