//! Validation of CSI nodes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};
use crate::equality::semantic_eq;

const MAX_NODE_ID_BYTES: usize = 192;

pub(super) fn validate(node: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = Unique::new();
    for (index, driver) in tree::list(node, "spec.drivers").iter().enumerate() {
        let path = Path::new("spec.drivers").index(index);
        if checks::required(&mut errors, driver, "name", &path, "") {
            let name = tree::text(driver, "name");
            errors.check(
                &path.child("name"),
                name,
                names::is_dns1123_subdomain(&name.to_lowercase()),
            );
            seen.insert(&mut errors, name, &path.child("name"));
        }
        checks::required(&mut errors, driver, "nodeID", &path, "");
        if tree::text(driver, "nodeID").len() > MAX_NODE_ID_BYTES {
            let detail = format!("must be {MAX_NODE_ID_BYTES} characters or less");
            errors.push(field::invalid(
                &path.child("nodeID"),
                tree::text(driver, "nodeID"),
                detail,
            ));
        }
        if let Some(allocatable) = tree::get(driver, "allocatable") {
            checks::not_negative(
                &mut errors,
                allocatable,
                "count",
                &path.child("allocatable"),
            );
        }
        for key in tree::texts(driver, "topologyKeys") {
            errors.check(
                &path.child("topologyKeys"),
                key,
                names::is_qualified_name(key),
            );
        }
    }
    errors
}

/// A driver is added and removed as a whole; its own data does not change.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for before in tree::list(old, "spec.drivers") {
        for (index, after) in tree::list(new, "spec.drivers").iter().enumerate() {
            let same = tree::text(after, "name") == tree::text(before, "name");
            let fixed = ["nodeID", "topologyKeys"];
            if same
                && fixed
                    .iter()
                    .any(|name| !semantic_eq(tree::get(after, name), tree::get(before, name)))
            {
                errors.push(field::immutable(
                    &Path::new("spec.drivers").index(index),
                    after,
                ));
            }
        }
    }
    errors
}
