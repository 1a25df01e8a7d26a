//! Validation of priority classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::equality::semantic_eq;

/// Largest priority that is not the system's own.
const MAX_USER_PRIORITY: i64 = 1_000_000_000;
/// Classes that the server makes, with their values.
const SYSTEM: [(&str, i64); 2] = [
    ("system-cluster-critical", 2_000_000_000),
    ("system-node-critical", 2_000_001_000),
];

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let name = tree::text(class, "metadata.name");
    let value = tree::int(class, "value").unwrap_or(0);
    if name.starts_with("system-") {
        if let Some(reason) = not_system(class, name, value) {
            let detail = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {reason}"
            );
            errors.push(field::forbidden(&Path::new("metadata.name"), detail));
        }
    } else if value > MAX_USER_PRIORITY {
        let detail =
            format!("maximum allowed value of a user defined priority is {MAX_USER_PRIORITY}");
        errors.push(field::forbidden(&Path::new("value"), detail));
    }
    let policies = ["PreemptLowerPriority", "Never"];
    checks::required_one_of(
        &mut errors,
        class,
        "preemptionPolicy",
        &Path::root(),
        &policies,
    );
    errors
}

fn not_system(class: &Value, name: &str, value: i64) -> Option<String> {
    match SYSTEM.iter().find(|(system, _)| *system == name) {
        None => Some(format!("{name} is not a known system priority class")),
        Some((_, expected)) if *expected != value => {
            Some(format!("value of {name} PriorityClass must be {expected}"))
        }
        Some(_) if tree::flag(class, "globalDefault") => Some(format!(
            "globalDefault of {name} PriorityClass must be false"
        )),
        Some(_) => None,
    }
}

/// Pods carry the value of their class from the day they were made.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let [after, before] = [new, old].map(|class| tree::int(class, "value").unwrap_or(0));
    if after != before {
        errors.push(field::forbidden(
            &Path::new("value"),
            "may not be changed in an update.",
        ));
    }
    let policy = [new, old].map(|class| tree::get(class, "preemptionPolicy"));
    if let [after, before] = policy
        && !semantic_eq(after, before)
    {
        errors.push(field::immutable(&Path::new("preemptionPolicy"), after));
    }
    errors
}
