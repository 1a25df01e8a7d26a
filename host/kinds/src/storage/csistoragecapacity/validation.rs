//! Validation of storage capacities.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::quantity;

pub(super) fn validate(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let class = tree::text(object, "storageClassName");
    errors.check(
        &Path::new("storageClassName"),
        class,
        names::is_dns1123_subdomain(class),
    );
    if let Some(topology) = tree::get(object, "nodeTopology") {
        errors.append(checks::label_selector(topology, &Path::new("nodeTopology")));
    }
    for name in ["capacity", "maximumVolumeSize"] {
        let amount = tree::get(object, name);
        if amount.is_some_and(|amount| {
            quantity::read(amount).is_none_or(|quantity| quantity.milli() < 0)
        }) {
            errors.push(field::invalid(
                &Path::new(name),
                amount,
                crate::object_meta::NOT_NEGATIVE,
            ));
        }
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for name in ["nodeTopology", "storageClassName"] {
        checks::immutable(&mut errors, new, old, name);
    }
    errors
}
