//! Validation of device classes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::validation::resource_names;
use crate::equality::semantic_eq;
use crate::resource::{configuration, devices, sets};

pub(super) fn validate(class: &Value) -> ErrorList {
    validate_with(class, None)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    validate_with(new, Some(old))
}

fn validate_with(class: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(class, "spec").unwrap_or(&Value::Null);
    devices::selectors(&mut errors, spec, &path);
    let stored = old
        .is_some_and(|old| semantic_eq(tree::get(spec, "config"), tree::get(old, "spec.config")));
    sets::each(
        &mut errors,
        (spec, "config"),
        devices::MAX_CONFIGURATIONS,
        &path,
        |errors, item, path| configuration::validate(errors, item, path, stored),
    );
    let name = tree::get(spec, "extendedResourceName").and_then(Value::as_str);
    if let Some(name) = name.filter(|name| !resource_names::is_extended(name)) {
        let at = path.child("extendedResourceName");
        let detail = "must be a valid extended resource name";
        errors.push(field::invalid(&at, name, detail));
    }
    errors
}
