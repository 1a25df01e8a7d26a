//! Validation of runtime classes.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::validation::{resources, tolerations};
use crate::core::podspec::warnings::old_label;
use crate::object_meta;

/// Labels of nodes that are out of use (`GetWarningsForRuntimeClass`).
pub(super) fn warnings(class: &Value) -> Vec<String> {
    let labels = tree::map(class, "scheduling.nodeSelector").keys();
    let texts = labels.filter_map(|label| old_label(label));
    texts
        .map(|text| format!("scheduling.nodeSelector: {text}"))
        .collect()
}

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let handler = tree::text(class, "handler");
    let at = Path::new("handler");
    if handler.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, handler, names::is_dns1123_label(handler));
    }
    if let Some(overhead) = tree::get(class, "overhead") {
        resources::overhead(&mut errors, overhead, "podFixed", &Path::new("overhead"));
    }
    if let Some(scheduling) = tree::get(class, "scheduling") {
        let path = Path::new("scheduling");
        errors.append(object_meta::validate_labels(
            scheduling,
            "nodeSelector",
            &path.child("nodeSelector"),
        ));
        let path = path.child("tolerations");
        tolerations(&mut errors, scheduling, &path);
        same_tolerations(&mut errors, scheduling, &path);
    }
    errors
}

/// Tolerations that are alike in everything but their seconds.
fn same_tolerations(errors: &mut ErrorList, scheduling: &Value, path: &Path) {
    let mut seen = HashSet::new();
    for (index, toleration) in tree::list(scheduling, "tolerations").iter().enumerate() {
        let key = ["key", "operator", "value", "effect"].map(|name| tree::text(toleration, name));
        if !seen.insert(key) {
            errors.push(field::duplicate(&path.index(index), toleration));
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable_text(&mut errors, new, old, "handler");
    errors
}
