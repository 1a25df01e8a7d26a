//! Validation of storage classes.

use std::collections::{BTreeMap, BTreeSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::podspec::warnings::old_label;
use crate::storage::class;

/// Keys of nodes' labels that are out of use.
pub(super) fn warnings(class: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, topology) in tree::list(class, "allowedTopologies").iter().enumerate() {
        let expressions = tree::list(topology, "matchLabelExpressions");
        for (position, expression) in expressions.iter().enumerate() {
            if let Some(text) = old_label(tree::text(expression, "key")) {
                let at =
                    format!("allowedTopologies[{index}].matchLabelExpressions[{position}].key");
                warnings.push(format!("{at}: {text}"));
            }
        }
    }
    warnings
}

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    class::provisioner(&mut errors, class, "provisioner");
    class::parameters(&mut errors, class);
    checks::one_of(
        &mut errors,
        class,
        "reclaimPolicy",
        &Path::root(),
        &["Delete", "Retain"],
    );
    let modes = ["Immediate", "WaitForFirstConsumer"];
    checks::supported(
        &mut errors,
        class,
        "volumeBindingMode",
        &Path::root(),
        &modes,
    );
    topologies(&mut errors, class);
    errors
}

/// Terms of other keys or values, each with at least one value of each key.
fn topologies(errors: &mut ErrorList, class: &Value) {
    let terms = tree::list(class, "allowedTopologies");
    for (index, term) in terms.iter().enumerate() {
        let at = Path::new("allowedTopologies")
            .index(index)
            .child("matchLabelExpressions");
        let mut keys = checks::Unique::new();
        let expressions = tree::list(term, "matchLabelExpressions");
        for (number, expression) in expressions.iter().enumerate() {
            let at = at.index(number);
            let mut seen = checks::Unique::new();
            let values = tree::texts(expression, "values");
            if values.is_empty() {
                errors.push(field::required(&at.child("values"), ""));
            }
            for (place, value) in values.into_iter().enumerate() {
                seen.insert(errors, value, &at.child("values").index(place));
            }
            let key = tree::text(expression, "key");
            errors.check(&at.child("key"), key, names::is_qualified_name(key));
            keys.insert(errors, key, &at.child("key"));
        }
        for _ in terms
            .iter()
            .take(index)
            .filter(|other| pairs(other) == pairs(term))
        {
            errors.push(field::duplicate(&at, ""));
        }
    }
}

/// The values of each key of a term.
fn pairs(term: &Value) -> BTreeMap<&str, BTreeSet<&str>> {
    tree::list(term, "matchLabelExpressions")
        .iter()
        .map(|expression| {
            let values = tree::texts(expression, "values").into_iter().collect();
            (tree::text(expression, "key"), values)
        })
        .collect()
}

/// What a class stands for does not change under the claims that name it.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "parameters");
    for name in ["provisioner", "reclaimPolicy", "volumeBindingMode"] {
        checks::immutable_text(&mut errors, new, old, name);
    }
    errors
}
