//! Validation of storage classes.

use std::collections::{BTreeMap, BTreeSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;

pub(super) fn validate(class: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    provisioner(&mut errors, class);
    parameters(&mut errors, class);
    checks::one_of(
        &mut errors,
        class,
        "reclaimPolicy",
        &Path::root(),
        &["Delete", "Retain"],
    );
    let modes = ["Immediate", "WaitForFirstConsumer"];
    checks::required_one_of(
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

fn provisioner(errors: &mut ErrorList, class: &Value) {
    let path = Path::new("provisioner");
    let name = tree::text(class, "provisioner");
    if name.is_empty() {
        errors.push(field::required(&path, ""));
    } else {
        errors.check(&path, name, names::is_qualified_name(&name.to_lowercase()));
    }
}

fn parameters(errors: &mut ErrorList, class: &Value) {
    let path = Path::new("parameters");
    let parameters = tree::map(class, "parameters");
    if parameters.len() > MAX_PARAMETERS {
        errors.push(field::too_long(&path, MAX_PARAMETERS));
    }
    let bytes: usize = parameters
        .iter()
        .map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len())
        .sum();
    if bytes > MAX_PARAMETERS_BYTES {
        errors.push(field::too_long(&path, MAX_PARAMETERS_BYTES));
    }
    if parameters.contains_key("") {
        errors.push(field::invalid(&path, "", "field can not be empty."));
    }
}

/// What a class stands for does not change under the claims that name it.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for name in [
        "parameters",
        "provisioner",
        "reclaimPolicy",
        "volumeBindingMode",
    ] {
        checks::immutable(&mut errors, new, old, name);
    }
    errors
}
