//! Validation of a device in a slice.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::capacity;
use crate::checks::Check;
use crate::core::podspec::validation::{node_selector, resource_names};
use crate::equality::semantic_eq;
use crate::quantity;
use crate::resource::{devices, names as device_names, sets, taints};

const MAX_ATTRIBUTES: usize = 32;
const MAX_VALUES: usize = 48;
const MAX_VALUE_BYTES: usize = 64;
const MAX_TAINTS: usize = 16;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_COUNTERS: usize = 32;
const MAX_LABEL_BYTES: usize = 63;
const LISTS: [&str; 4] = ["bools", "ints", "strings", "versions"];

/// A device; `before` is the stored one of its name. Nodes are named by `per_device` alone.
pub(super) fn validate(
    errors: &mut ErrorList,
    device: &Value,
    before: Option<&Value>,
    per_device: bool,
    path: &Path,
) {
    let name = tree::text(device, "name");
    errors.check(&path.child("name"), name, names::is_dns1123_label(name));
    sizes(errors, device, path);
    for (key, attribute) in tree::map(device, "attributes") {
        let at = path.child("attributes");
        device_names::qualified(errors, key, &at);
        let shown = sets::shown_key(key, device_names::MAX_QUALIFIED_BYTES);
        self::attribute(errors, attribute, &at.key(&shown));
    }
    let shared = tree::flag(device, "allowMultipleAllocations");
    for (key, capacity) in tree::map(device, "capacity") {
        let at = path.child("capacity");
        device_names::qualified(errors, key, &at);
        let shown = sets::shown_key(key, device_names::MAX_QUALIFIED_BYTES);
        capacity::validate(errors, capacity, shared, &at.key(&shown));
    }
    let tainted = before.map(|before| tree::get(before, "taints"));
    if tainted.is_none_or(|stored| !semantic_eq(stored, tree::get(device, "taints"))) {
        let list = (device, "taints");
        sets::each(errors, list, MAX_TAINTS, path, taints::taint);
    }
    let list = (device, "consumesCounters");
    if sets::each(errors, list, MAX_CONSUMPTIONS, path, consumption) {
        sets::unique(errors, list, path, sets::text_of("counterSet"));
    }
    place(errors, device, per_device, path);
    devices::binding_conditions(errors, device, path);
    let at = path.child("nodeAllocatableResourceMappings");
    mappings(errors, device, &at);
}

fn sizes(errors: &mut ErrorList, device: &Value, path: &Path) {
    let attributes = tree::map(device, "attributes");
    let count = attributes.len() + tree::map(device, "capacity").len();
    if count > MAX_ATTRIBUTES {
        let detail = format!(
            "the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES}"
        );
        errors.push(field::invalid(path, count, detail));
    }
    let values = |attribute: &Value| {
        let lists = LISTS.iter().map(|name| tree::list(attribute, name).len());
        lists.sum::<usize>().max(1)
    };
    let count: usize = attributes.values().map(values).sum();
    if count > MAX_VALUES {
        let detail = format!("the total number of attribute values must not exceed {MAX_VALUES}");
        errors.push(field::invalid(path, count, detail));
    }
}

fn attribute(errors: &mut ErrorList, attribute: &Value, path: &Path) {
    let mut given = ["bool", "int"]
        .iter()
        .filter(|name| tree::get(attribute, name).is_some())
        .count();
    for (name, rule) in [
        ("string", text as fn(&mut ErrorList, &Value, &Path)),
        ("version", version),
    ] {
        if let Some(value) = tree::get(attribute, name) {
            given += 1;
            rule(errors, value, &path.child(name));
        }
    }
    for name in LISTS {
        let Some(list) = tree::get(attribute, name) else {
            continue;
        };
        given += 1;
        let at = path.child(name);
        if tree::is_empty(list) {
            let detail = "must not be empty if specified";
            errors.push(field::invalid(&at, list, detail));
        }
        for (index, value) in tree::list(attribute, name).iter().enumerate() {
            match name {
                "strings" => text(errors, value, &at.index(index)),
                "versions" => version(errors, value, &at.index(index)),
                _ => {}
            }
        }
    }
    let detail = "exactly one value must be specified";
    match given {
        0 => errors.push(field::invalid(path, "", detail)),
        1 => {}
        _ => errors.push(field::invalid(path, attribute, detail)),
    }
}

fn text(errors: &mut ErrorList, value: &Value, path: &Path) {
    if value.as_str().unwrap_or_default().len() > MAX_VALUE_BYTES {
        errors.push(field::too_long(path, MAX_VALUE_BYTES));
    }
}

fn version(errors: &mut ErrorList, value: &Value, path: &Path) {
    let version = value.as_str().unwrap_or_default();
    if !is_semantic_version(version) {
        let detail = "must be a string compatible with semver.org spec 2.0.0";
        errors.push(field::invalid(path, version, detail));
    }
    text(errors, value, path);
}

/// `1.2.3-alpha.1+build.5`
fn is_semantic_version(text: &str) -> bool {
    let is_word = |part: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty() && part.bytes().all(is_inner)
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = |part: &str| {
        let leads = part.len() > 1 && part.starts_with('0');
        !part.is_empty() && is_digits(part) && !leads
    };
    let (rest, build) = match text.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (text, None),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (rest, None),
    };
    let is_pre = |part: &str| is_word(part) && (is_number(part) || !is_digits(part));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(is_pre))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

fn consumption(errors: &mut ErrorList, consumption: &Value, path: &Path) {
    let (name, at) = (
        tree::text(consumption, "counterSet"),
        path.child("counterSet"),
    );
    if name.is_empty() {
        errors.push(field::required(&at, ""));
    } else {
        errors.check(&at, name, names::is_dns1123_label(name));
    }
    counters(errors, consumption, path);
}

/// `counters` of a set or of what consumes them: names and amounts.
pub(super) fn counters(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let counters = tree::map(holder, "counters");
    let at = path.child("counters");
    if counters.is_empty() {
        errors.push(field::required(&at, ""));
    } else if counters.len() > MAX_COUNTERS {
        errors.push(field::too_many(&at, counters.len(), MAX_COUNTERS));
    } else {
        for (name, counter) in counters {
            errors.check(&at, name.as_str(), names::is_dns1123_label(name));
            let shown = sets::shown_key(name, MAX_LABEL_BYTES);
            let value = tree::get(counter, "value");
            if value.is_some_and(|value| quantity::read(value).is_none()) {
                let detail = "must be a quantity";
                errors.push(field::invalid(
                    &at.key(&shown).child("value"),
                    value,
                    detail,
                ));
            }
        }
    }
}

fn place(errors: &mut ErrorList, device: &Value, per_device: bool, path: &Path) {
    let fields = ["nodeName", "nodeSelector", "allNodes"];
    if !per_device {
        if fields.iter().any(|name| tree::get(device, name).is_some()) {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
            errors.push(field::invalid(path, &Value::Null, detail));
        }
        return;
    }
    let mut given = Vec::new();
    if let Some(node) = tree::get(device, "nodeName").and_then(Value::as_str) {
        let at = path.child("nodeName");
        if node.is_empty() {
            errors.push(field::invalid(&at, node, "must not be empty"));
        } else {
            given.push("`nodeName`");
            errors.check(&at, node, names::is_dns1123_subdomain(node));
        }
    }
    if let Some(selector) = tree::get(device, "nodeSelector") {
        given.push("`nodeSelector`");
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
    match tree::get(device, "allNodes").and_then(Value::as_bool) {
        Some(true) => given.push("`allNodes`"),
        Some(false) => {
            let detail = "must be either unset or set to true";
            errors.push(field::invalid(&path.child("allNodes"), false, detail));
        }
        None => {}
    }
    let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
    match given.len() {
        0 => errors.push(field::required(path, detail)),
        1 => {}
        _ => {
            let value = format!("{{{}}}", given.join(", "));
            errors.push(field::invalid(path, value, detail));
        }
    }
}

/// What an allocation takes of the node's own resources.
fn mappings(errors: &mut ErrorList, device: &Value, path: &Path) {
    for (name, mapping) in tree::map(device, "nodeAllocatableResourceMappings") {
        let at = path.key(name);
        if !resource_names::is_native(name) {
            let detail = "must be a node allocatable resource name";
            errors.push(field::invalid(&at, name.as_str(), detail));
        }
        let factor = tree::get(mapping, "allocationMultiplier");
        let key = tree::get(mapping, "capacityKey").and_then(Value::as_str);
        if factor.is_none() && key.is_none() {
            let detail = "at least one of allocationMultiplier or capacityKey must be set";
            errors.push(field::invalid(&at, "", detail));
        }
        let read = factor.and_then(quantity::read);
        if read.is_some_and(|factor| factor.is_zero() || factor.is_negative()) {
            let at = at.child("allocationMultiplier");
            errors.push(field::invalid(&at, factor, "must be positive"));
        }
        let at = at.child("capacityKey");
        match key {
            Some("") => {
                let detail = "capacityKey must not be an empty string";
                errors.push(field::invalid(&at, "", detail));
            }
            Some(key) if !tree::map(device, "capacity").contains_key(key) => {
                errors.push(field::not_found(&at, key));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_semver() {
        for version in [
            "1.2.3",
            "0.0.0",
            "1.0.0-alpha.1+b.05",
            "1.2.3-0a",
            "1.2.3----",
        ] {
            assert!(is_semantic_version(version), "{version}");
        }
        for version in [
            "",
            "1.2",
            "01.2.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3+",
            "v1.2.3",
            "1.2.3-a..b",
        ] {
            assert!(!is_semantic_version(version), "{version}");
        }
    }
}
