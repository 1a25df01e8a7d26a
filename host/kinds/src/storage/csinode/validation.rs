//! Validation of CSI nodes.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};
use crate::equality::semantic_eq;

const MAX_NODE_ID_BYTES: usize = 256;

pub(super) fn validate(node: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = Unique::new();
    for (index, driver) in tree::list(node, "spec.drivers").iter().enumerate() {
        let path = Path::new("spec.drivers").index(index);
        let name = tree::text(driver, "name");
        checks::driver_name(&mut errors, name, &path.child("name"));
        checks::required(&mut errors, driver, "nodeID", &path, "");
        let id = tree::text(driver, "nodeID");
        if id.len() > MAX_NODE_ID_BYTES {
            let detail = format!("must be {MAX_NODE_ID_BYTES} characters or less");
            errors.push(field::invalid(&path.child("nodeID"), id, detail));
        }
        if let Some(allocatable) = tree::get(driver, "allocatable") {
            let at = path.child("allocatable");
            checks::not_negative(&mut errors, allocatable, "count", &at);
        }
        seen.insert(&mut errors, name, &path.child("name"));
        let mut keys = Unique::new();
        // Upstream names the driver, not the key in it.
        for key in tree::texts(driver, "topologyKeys") {
            if key.is_empty() {
                errors.push(field::required(&path, ""));
            }
            keys.insert(&mut errors, key, &path);
            errors.check(&path, key, names::is_qualified_name(key));
        }
    }
    errors
}

/// A driver is added and removed as a whole; its own data does not change, but for what it can attach.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for before in tree::list(old, "spec.drivers") {
        for after in tree::list(new, "spec.drivers") {
            let name = |driver| tree::text(driver, "name");
            let [left, right] = [after, before].map(|driver| {
                let mut driver = driver.clone();
                tree::remove(&mut driver, "allocatable");
                driver
            });
            if name(after) == name(before) && !semantic_eq(Some(&left), Some(&right)) {
                errors.push(field::immutable(&Path::new("spec.drivers"), &left));
            }
        }
    }
    errors
}
