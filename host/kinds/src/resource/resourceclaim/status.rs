//! Validation of the status of resource claims.

use std::collections::HashSet;

use k3s_meta::field::{self, BadValue, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::{Value, json};

use crate::checks::{self, Check};
use crate::conditions;
use crate::core::podspec::validation::node_selector;
use crate::resource::request_names::RequestNames;
use crate::resource::{configuration, devices, names as device_names, sets};

const MAX_CONSUMERS: usize = 256;
const MAX_RESULTS: usize = 32;
/// Of the claim and of its classes.
const MAX_CONFIGURATIONS: usize = 2 * devices::MAX_CONFIGURATIONS;
const MAX_CONDITIONS: usize = 8;
const MAX_DATA_BYTES: usize = 10 * 1024;
const MAX_INTERFACE_BYTES: usize = 256;
const MAX_HARDWARE_BYTES: usize = 128;
const MAX_ADDRESSES: usize = 16;
const SOURCES: [&str; 2] = ["FromClaim", "FromClass"];

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status");
    let [status, before] =
        [new, old].map(|claim| tree::get(claim, "status").unwrap_or(&Value::Null));
    let consumers = (status, "reservedFor");
    if sets::each(&mut errors, consumers, MAX_CONSUMERS, &path, consumer) {
        sets::unique(&mut errors, consumers, &path, sets::text_of("uid"));
    }
    let allocation = tree::get(status, "allocation");
    let allocated = ids_of(status, "allocation.devices.results");
    let list = (status, "devices");
    sets::each(&mut errors, list, usize::MAX, &path, |errors, it, path| {
        device(errors, it, &allocated, path);
    });
    sets::unique(&mut errors, list, &path, |it| BadValue::from(&id(it)));
    reserved(&mut errors, new, before, &path.child("reservedFor"));
    let at = path.child("allocation");
    match (tree::get(before, "allocation"), allocation) {
        // What was allocated under older rules is not held against newer ones.
        (Some(_), Some(_)) => {
            checks::immutable(&mut errors, new, old, "status.allocation");
        }
        (None, Some(allocation)) => {
            let devices = tree::get(new, "spec.devices").unwrap_or(&Value::Null);
            self::allocation(&mut errors, allocation, &RequestNames::of(devices), &at);
        }
        _ => {}
    }
    errors
}

/// A claim that is being deleted may lose consumers, but gets no new ones.
fn reserved(errors: &mut ErrorList, claim: &Value, before: &Value, path: &Path) {
    let consumers = tree::list(claim, "status.reservedFor");
    if consumers.is_empty() || consumers.len() > MAX_CONSUMERS {
        return;
    }
    let known = tree::list(before, "reservedFor");
    if tree::get(claim, "status.allocation").is_none() {
        let detail = "may not be specified when `allocated` is not set";
        errors.push(field::forbidden(path, detail));
    } else if tree::has(claim, "metadata.deletionTimestamp")
        && consumers.iter().any(|consumer| !known.contains(consumer))
    {
        let detail = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
        errors.push(field::forbidden(path, detail));
    }
}

fn consumer(errors: &mut ErrorList, consumer: &Value, path: &Path) {
    for name in ["resource", "name", "uid"] {
        checks::required(errors, consumer, name, path, "");
    }
}

/// What tells one allocated device from another.
pub(super) fn id(device: &Value) -> Value {
    let [driver, pool, name, share] =
        ["driver", "pool", "device", "shareID"].map(|name| tree::text(device, name));
    json!({"driver": driver, "pool": pool, "device": name, "shareID": share})
}

/// What tells the devices in the list at `path` of a status from others.
pub(super) fn ids_of(status: &Value, path: &str) -> HashSet<String> {
    let devices = tree::list(status, path).iter();
    devices.map(|device| id(device).to_string()).collect()
}

fn device(errors: &mut ErrorList, device: &Value, allocated: &HashSet<String>, path: &Path) {
    ids(errors, device, path);
    let own = id(device);
    if !allocated.contains(&own.to_string()) {
        let detail = "must be an allocated device in the claim";
        errors.push(field::invalid(path, &own, detail));
    }
    let count = tree::list(device, "conditions").len();
    if count > MAX_CONDITIONS {
        let at = path.child("conditions");
        errors.push(field::too_many(&at, count, MAX_CONDITIONS));
    }
    conditions::validate(errors, device, path);
    if let Some(data) = tree::get(device, "data") {
        let at = path.child("data");
        configuration::any_object(errors, Some(data), &at, MAX_DATA_BYTES);
    }
    if let Some(network) = tree::get(device, "networkData") {
        self::network(errors, network, &path.child("networkData"));
    }
}

/// Driver, pool, device and share.
fn ids(errors: &mut ErrorList, device: &Value, path: &Path) {
    let of = |name: &str| tree::text(device, name);
    checks::driver_name(errors, of("driver"), &path.child("driver"));
    device_names::pool(errors, of("pool"), &path.child("pool"));
    let outcome = names::is_dns1123_label(of("device"));
    errors.check(&path.child("device"), of("device"), outcome);
    if tree::get(device, "shareID").is_some() {
        device_names::uid(errors, of("shareID"), &path.child("shareID"));
    }
}

fn network(errors: &mut ErrorList, network: &Value, path: &Path) {
    for (name, max) in [
        ("interfaceName", MAX_INTERFACE_BYTES),
        ("hardwareAddress", MAX_HARDWARE_BYTES),
    ] {
        if tree::text(network, name).len() > max {
            errors.push(field::too_long(&path.child(name), max));
        }
    }
    let addresses = (network, "ips");
    let each = |errors: &mut ErrorList, address: &Value, path: &Path| {
        interface_address(errors, address.as_str().unwrap_or_default(), path);
    };
    if sets::each(errors, addresses, MAX_ADDRESSES, path, each) {
        sets::unique(errors, addresses, path, sets::text_of(""));
    }
}

/// An address with the length of its network's prefix (`IsValidInterfaceAddress`).
fn interface_address(errors: &mut ErrorList, text: &str, path: &Path) {
    match text.parse::<ipnet::IpNet>() {
        Ok(address) if address.to_string() == text => {}
        Ok(address) => {
            let detail = format!("must be in canonical form (\"{address}\")");
            errors.push(field::invalid(path, text, detail));
        }
        Err(_) => {
            let detail =
                "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";
            errors.push(field::invalid(path, text, detail));
        }
    }
}

fn allocation(errors: &mut ErrorList, allocation: &Value, known: &RequestNames<'_>, path: &Path) {
    let devices = tree::get(allocation, "devices").unwrap_or(&Value::Null);
    let at = path.child("devices");
    let results = (devices, "results");
    sets::each(errors, results, MAX_RESULTS, &at, |errors, result, path| {
        let request = tree::text(result, "request");
        known.check(errors, request, &path.child("request"));
        ids(errors, result, path);
        devices::binding_conditions(errors, result, path);
    });
    let configurations = (devices, "config");
    let max = MAX_CONFIGURATIONS;
    sets::each(errors, configurations, max, &at, |errors, item, path| {
        checks::required_one_of(errors, item, "source", path, &SOURCES);
        devices::references(errors, item, known, path);
        configuration::validate(errors, item, path, false);
    });
    if let Some(selector) = tree::get(allocation, "nodeSelector") {
        node_selector(errors, selector, &path.child("nodeSelector"));
    }
}
