//! Validation of limit ranges.

use std::collections::{BTreeSet, HashSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::validation::resources::amount_of;
use crate::quantity;

pub(super) fn validate(range: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut kinds = HashSet::new();
    for (index, item) in tree::list(range, "spec.limits").iter().enumerate() {
        let path = Path::new("spec.limits").index(index);
        let kind = tree::text(item, "type");
        if kind.is_empty() {
            errors.push(field::required(&path.child("type"), ""));
        } else if !kinds.insert(kind) {
            errors.push(field::duplicate(&path.child("type"), kind));
        }
        if kind == "Pod" {
            for list in ["default", "defaultRequest"] {
                if tree::has(item, list) {
                    errors.push(field::forbidden(
                        &path.child(list),
                        "may not be specified when `type` is 'Pod'",
                    ));
                }
            }
        }
        self::item(&mut errors, item, &path);
    }
    errors
}

fn item(errors: &mut ErrorList, item: &Value, path: &Path) {
    let lists = [
        "max",
        "min",
        "default",
        "defaultRequest",
        "maxLimitRequestRatio",
    ];
    let mut resources = BTreeSet::new();
    for list in lists {
        for (name, amount) in tree::map(item, list) {
            amount_of(errors, name, amount, &path.child(list).key(name));
            resources.insert(name.as_str());
        }
    }
    for name in resources {
        let amount = |list: &str| tree::map(item, list).get(name).and_then(quantity::read);
        for (low, high) in [
            ("min", "max"),
            ("defaultRequest", "max"),
            ("min", "defaultRequest"),
            ("min", "default"),
            ("default", "max"),
            ("defaultRequest", "default"),
        ] {
            let (Some(small), Some(large)) = (amount(low), amount(high)) else {
                continue;
            };
            if small > large {
                let wording = match (low, high) {
                    ("min", "max") => {
                        format!("min value {small} is greater than max value {large}")
                    }
                    ("defaultRequest", "max") => {
                        format!("default request value {small} is greater than max value {large}")
                    }
                    ("min", "defaultRequest") => {
                        format!("min value {small} is greater than default request value {large}")
                    }
                    ("min", _) => {
                        format!("min value {small} is greater than default value {large}")
                    }
                    (_, "max") => {
                        format!("default value {small} is greater than max value {large}")
                    }
                    _ => format!(
                        "default request value {small} is greater than default limit value {large}"
                    ),
                };
                let at = if low == "min" && high == "max" {
                    "min"
                } else if high == "max" {
                    low
                } else {
                    high
                };
                errors.push(field::invalid(
                    &path.child(at).key(name),
                    small.to_string(),
                    wording,
                ));
            }
        }
    }
}
