//! Validation of storage capacities.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::warnings::old_label;
use crate::quantity;

/// Labels of nodes that are out of use (`GetWarningsForNodeSelector`).
pub(super) fn warnings(object: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let expressions = tree::list(object, "nodeTopology.matchExpressions");
    for (index, expression) in expressions.iter().enumerate() {
        let key = tree::text(expression, "key");
        if let Some(text) = old_label(key) {
            let at = format!("nodeTopology.matchExpressions[{index}].key");
            warnings.push(format!("{at}: {key} is {text}"));
        }
    }
    for label in tree::map(object, "nodeTopology.matchLabels").keys() {
        if let Some(text) = old_label(label) {
            warnings.push(format!("nodeTopology.matchLabels.{label}: {text}"));
        }
    }
    warnings
}

pub(super) fn validate(object: &Value) -> ErrorList {
    validate_with(object, false)
}

/// `any_value` allows values of the selector that are no values of labels.
fn validate_with(object: &Value, any_value: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let found = topology(object).into_iter();
    errors.extend(found.filter(|it| !(any_value && it.field.contains("].values["))));
    let class = tree::text(object, "storageClassName");
    errors.check(
        &Path::new("storageClassName"),
        class,
        names::is_dns1123_subdomain(class),
    );
    let amount = tree::get(object, "capacity");
    let read = amount.and_then(quantity::read);
    if read.is_some_and(|quantity| quantity.is_negative()) {
        let detail = crate::object_meta::NOT_NEGATIVE;
        errors.push(field::invalid(&Path::new("capacity"), amount, detail));
    }
    errors
}

fn topology(object: &Value) -> ErrorList {
    let selector = tree::get(object, "nodeTopology").unwrap_or(&Value::Null);
    checks::label_selector(selector, &Path::new("nodeTopology"))
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate_with(new, !topology(old).is_empty());
    checks::immutable(&mut errors, new, old, "nodeTopology");
    checks::immutable_text(&mut errors, new, old, "storageClassName");
    errors
}
