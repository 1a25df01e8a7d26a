//! Validation of resource slices.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::device;
use crate::checks::{self, Check};
use crate::core::podspec::validation::node_selector;
use crate::resource::{names as device_names, sets};

const MAX_DEVICES: usize = 128;
/// With taints, counters or lists of values.
const MAX_RICH_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;

pub(super) fn validate(slice: &Value) -> ErrorList {
    validate_with(slice, None)
}

/// Driver and pool stay, and so does the node.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    validate_with(new, Some(old))
}

fn validate_with(slice: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(slice, "spec").unwrap_or(&Value::Null);
    let driver = tree::text(spec, "driver");
    checks::driver_name(&mut errors, driver, &path.child("driver"));
    pool(&mut errors, spec, &path.child("pool"));
    if let Some(old) = old {
        for name in ["spec.pool.name", "spec.driver"] {
            checks::immutable_text(&mut errors, slice, old, name);
        }
        checks::immutable(&mut errors, slice, old, "spec.nodeName");
    }
    place(&mut errors, spec, &path);
    let [devices, counters] =
        ["devices", "sharedCounters"].map(|name| tree::get(spec, name).is_some());
    if devices && counters {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(field::invalid(&path, "", detail));
    }
    let max = if is_rich(spec) {
        MAX_RICH_DEVICES
    } else {
        MAX_DEVICES
    };
    let per_device = tree::flag(spec, "perDeviceNodeSelection");
    let list = (spec, "devices");
    let each = |errors: &mut ErrorList, item: &Value, path: &Path| {
        let before = old.and_then(|old| named(old, tree::text(item, "name")));
        device::validate(errors, item, before, per_device, path);
    };
    if sets::each(&mut errors, list, max, &path, each) {
        sets::unique(&mut errors, list, &path, sets::text_of("name"));
    }
    let list = (spec, "sharedCounters");
    if sets::each(&mut errors, list, MAX_COUNTER_SETS, &path, counter_set) {
        sets::unique(&mut errors, list, &path, sets::text_of("name"));
    }
    errors
}

fn pool(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let pool = tree::get(spec, "pool").unwrap_or(&Value::Null);
    device_names::pool(errors, tree::text(pool, "name"), &path.child("name"));
    let count = tree::int(pool, "resourceSliceCount").unwrap_or(0);
    if count <= 0 {
        let at = path.child("resourceSliceCount");
        errors.push(field::invalid(&at, count, "must be greater than zero"));
    }
    let generation = tree::int(pool, "generation").unwrap_or(0);
    if generation < 0 {
        let detail = "must be greater than or equal to zero";
        let at = path.child("generation");
        errors.push(field::invalid(&at, generation, detail));
    }
}

/// The node or nodes that the devices are for.
fn place(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut given = Vec::new();
    if let Some(node) = tree::get(spec, "nodeName").and_then(Value::as_str) {
        let at = path.child("nodeName");
        if node.is_empty() {
            let detail = "must be either unset or set to a non-empty string";
            errors.push(field::invalid(&at, node, detail));
        } else {
            given.push("`nodeName`");
            errors.check(&at, node, names::is_dns1123_subdomain(node));
        }
    }
    if let Some(selector) = tree::get(spec, "nodeSelector") {
        given.push("`nodeSelector`");
        let at = path.child("nodeSelector");
        node_selector(errors, selector, &at);
        if tree::list(selector, "nodeSelectorTerms").len() != 1 {
            let detail = "must have exactly one node selector term";
            let terms = tree::get(selector, "nodeSelectorTerms");
            errors.push(field::invalid(
                &at.child("nodeSelectorTerms"),
                terms,
                detail,
            ));
        }
    }
    for (name, shown) in [
        ("allNodes", "`allNodes`"),
        ("perDeviceNodeSelection", "`perDeviceNodeSelection`"),
    ] {
        match tree::get(spec, name).and_then(Value::as_bool) {
            Some(true) => given.push(shown),
            Some(false) => {
                let detail = "must be either unset or set to true";
                errors.push(field::invalid(&path.child(name), false, detail));
            }
            None => {}
        }
    }
    let detail = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match given.len() {
        0 => errors.push(field::required(path, detail)),
        1 => {}
        _ => {
            let value = format!("{{{}}}", given.join(", "));
            let detail = format!("{detail}, but multiple fields are set");
            errors.push(field::invalid(path, value, detail));
        }
    }
}

/// Whether devices of a slice use what makes them costly to watch.
fn is_rich(spec: &Value) -> bool {
    tree::list(spec, "devices").iter().any(|device| {
        let mut attributes = tree::map(device, "attributes").values();
        tree::has(device, "taints")
            || tree::has(device, "consumesCounters")
            || attributes.any(|attribute| {
                let lists = ["bools", "ints", "strings", "versions"];
                lists
                    .iter()
                    .any(|name| tree::get(attribute, name).is_some())
            })
    })
}

fn named<'a>(slice: &'a Value, name: &str) -> Option<&'a Value> {
    let mut devices = tree::list(slice, "spec.devices").iter();
    devices.find(|device| tree::text(device, "name") == name)
}

fn counter_set(errors: &mut ErrorList, set: &Value, path: &Path) {
    let (name, at) = (tree::text(set, "name"), path.child("name"));
    if name.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, name, names::is_dns1123_label(name));
    }
    device::counters(errors, set, path);
}

pub(super) fn warnings(slice: &Value) -> Vec<String> {
    let driver = tree::text(slice, "spec.driver");
    if !driver.chars().any(char::is_uppercase) {
        return Vec::new();
    }
    vec![format!(
        "spec.driver: driver names should be lowercase; {driver:?} contains uppercase characters"
    )]
}
