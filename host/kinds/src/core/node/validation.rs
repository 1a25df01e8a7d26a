//! Validation of nodes.

use std::collections::HashSet;
use std::net::IpAddr;

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::features;
use crate::checks::{self, Check};
use crate::core::podspec::validation::resources;

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const ONE_PER_FAMILY: &str = "may specify no more than one CIDR for each IP family";

pub(super) fn validate(node: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    taints(&mut errors, node);
    amounts(&mut errors, node);
    swap(&mut errors, node);
    features::validate(&mut errors, node);
    pod_ranges(&mut errors, node);
    errors
}

/// The path is below `metadata`, where taints once were annotations.
fn taints(errors: &mut ErrorList, node: &Value) {
    let path = Path::new("metadata.taints");
    let mut seen = HashSet::new();
    for (index, taint) in tree::list(node, "spec.taints").iter().enumerate() {
        let at = path.index(index);
        let [key, value, effect] = ["key", "value", "effect"].map(|part| tree::text(taint, part));
        errors.check(&at.child("key"), key, names::is_qualified_name(key));
        if let Err(violations) = names::is_label_value(value) {
            let detail = violations.into_iter().collect::<Vec<_>>().join(";");
            errors.push(field::invalid(&at.child("value"), value, detail));
        }
        checks::required_one_of(errors, taint, "effect", &at, &EFFECTS);
        if !seen.insert((key, effect)) {
            let mut duplicate = field::duplicate(&at, BadValue::Raw(shown(taint)));
            "taints must be unique by key and effect pair".clone_into(&mut duplicate.detail);
            errors.push(duplicate);
        }
    }
}

/// The taint as upstream's messages show it: with the names of Go.
fn shown(taint: &Value) -> String {
    let [key, value, effect] =
        ["key", "value", "effect"].map(|part| Value::from(tree::text(taint, part)));
    let time = tree::get(taint, "timeAdded").unwrap_or(&Value::Null);
    format!(r#"{{"Key":{key},"Value":{value},"Effect":{effect},"TimeAdded":{time}}}"#)
}

/// What the node has and what of it pods can have (`ValidateNodeResources`).
fn amounts(errors: &mut ErrorList, node: &Value) {
    for list in ["status.capacity", "status.allocatable"] {
        for (name, amount) in tree::map(node, list) {
            resources::amount_of(errors, name, amount, &Path::new(list).child(name));
        }
    }
}

fn swap(errors: &mut ErrorList, node: &Value) {
    let capacity = tree::int(node, "status.nodeInfo.swap.capacity");
    if let Some(capacity) = capacity.filter(|capacity| *capacity <= 0) {
        let path = Path::new("metadata.nodeSwapStatus.capacity");
        errors.push(field::invalid(&path, capacity, "must be greater than zero"));
    }
}

fn pod_ranges(errors: &mut ErrorList, node: &Value) {
    let path = Path::new("spec.podCIDRs");
    let ranges = tree::texts(node, "spec.podCIDRs");
    for (index, range) in ranges.iter().enumerate() {
        errors.check(&path.index(index), *range, names::is_cidr(range));
    }
    if ranges.len() < 2 {
        return;
    }
    let bases: Vec<_> = ranges.iter().map(|range| base_of(range)).collect();
    let unread = bases.iter().position(Option::is_none);
    if let Some((index, range)) = unread.and_then(|at| Some((at, ranges.get(at)?))) {
        let error = format!("invalid CIDR[{index}]: <nil> (invalid CIDR address: {range})");
        let detail =
            format!("invalid PodCIDRs. failed to check with dual stack with error:{error}");
        errors.push(field::internal(&path, detail));
    }
    let has = |family: fn(&IpAddr) -> bool| bases.iter().flatten().any(family);
    let both = unread.is_none() && has(IpAddr::is_ipv4) && has(IpAddr::is_ipv6);
    if !both || ranges.len() > 2 {
        let value = tree::get(node, "spec.podCIDRs");
        errors.push(field::invalid(&path, value, ONE_PER_FAMILY));
    }
}

/// The address before the length of a prefix that addresses of its family can have.
fn base_of(range: &str) -> Option<IpAddr> {
    let (address, length) = range.split_once('/')?;
    let address = parse_loosely(address)?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let is_number = length.bytes().all(|byte| byte.is_ascii_digit());
    let length = length.parse::<u32>().ok()?;
    (is_number && length <= most).then_some(address)
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    errors.append(validate_status_update(new, old));
    errors
}

/// What holds for every step of a node, that of its status too (`ValidateNodeUpdate`).
pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    amounts(&mut errors, new);
    features::validate(&mut errors, new);
    addresses(&mut errors, new);
    pod_ranges_stay(&mut errors, new, old);
    let provider = tree::text(old, "spec.providerID");
    if !provider.is_empty() && tree::text(new, "spec.providerID") != provider {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(field::forbidden(&Path::new("spec.providerID"), detail));
    }
    taints(&mut errors, new);
    if tree::text(new, "spec.externalID") != tree::text(old, "spec.externalID") {
        let path = Path::new("spec.externalID");
        errors.push(field::forbidden(&path, "may not be updated"));
    }
    errors
}

/// Ranges that the node has stay; each that differs is an error, one where their number does.
fn pod_ranges_stay(errors: &mut ErrorList, new: &Value, old: &Value) {
    let [after, before] = [new, old].map(|node| tree::texts(node, "spec.podCIDRs"));
    if before.is_empty() {
        return;
    }
    let differing = if before.len() == after.len() {
        let pairs = before.iter().zip(&after);
        pairs.filter(|(old, new)| old != new).count()
    } else {
        1
    };
    let detail = "node updates may not change podCIDR except from \"\" to valid";
    for _ in 0..differing {
        let path = Path::new("spec.podCIDRs");
        errors.push(field::forbidden(&path, detail));
    }
}

fn addresses(errors: &mut ErrorList, node: &Value) {
    let path = Path::new("status.addresses");
    let mut seen = HashSet::new();
    for (index, address) in tree::list(node, "status.addresses").iter().enumerate() {
        let key = (tree::text(address, "type"), tree::text(address, "address"));
        if !seen.insert(key) {
            errors.push(field::duplicate(&path.index(index), address));
        }
    }
}

pub(super) fn warnings(node: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if tree::has(node, "spec.externalID") {
        let text = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
        warnings.push(text.to_owned());
    }
    warnings
}
