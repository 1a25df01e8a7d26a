//! Validation of storage classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::equality::semantic_eq;

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
    errors
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
    let mut errors = validate(new);
    for name in ["parameters", "provisioner", "reclaimPolicy"] {
        if !semantic_eq(tree::get(new, name), tree::get(old, name)) {
            errors.push(field::forbidden(
                &Path::new(name),
                format!("updates to {name} are forbidden."),
            ));
        }
    }
    checks::immutable(&mut errors, new, old, "volumeBindingMode");
    errors
}
