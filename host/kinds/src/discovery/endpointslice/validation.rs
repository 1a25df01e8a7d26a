//! Validation of endpoint slices.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::{self, Check, Unique};

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;

pub(super) fn validate(slice: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let kind = tree::text(slice, "addressType");
    checks::required_one_of(
        &mut errors,
        slice,
        "addressType",
        &Path::root(),
        &["FQDN", "IPv4", "IPv6"],
    );
    let endpoints = tree::list(slice, "endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(field::too_many(
            &Path::new("endpoints"),
            endpoints.len(),
            MAX_ENDPOINTS,
        ));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        self::endpoint(
            &mut errors,
            endpoint,
            kind,
            &Path::new("endpoints").index(index),
        );
    }
    ports(&mut errors, slice, &Path::new("ports"));
    errors
}

fn endpoint(errors: &mut ErrorList, endpoint: &Value, kind: &str, path: &Path) {
    let addresses = tree::texts(endpoint, "addresses");
    let at = path.child("addresses");
    if addresses.is_empty() {
        errors.push(field::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        errors.push(field::too_many(&at, addresses.len(), MAX_ADDRESSES));
    }
    for (index, address) in addresses.iter().enumerate() {
        let at = at.index(index);
        match kind {
            "IPv4" => {
                if address.parse::<std::net::Ipv4Addr>().is_err() {
                    errors.push(field::invalid(
                        &at,
                        *address,
                        "must be a valid IPv4 address",
                    ));
                }
                errors.append(checks::special_ip(address, &at));
            }
            "IPv6" => {
                if address.parse::<std::net::Ipv6Addr>().is_err() {
                    errors.push(field::invalid(
                        &at,
                        *address,
                        "must be a valid IPv6 address",
                    ));
                }
                errors.append(checks::special_ip(address, &at));
            }
            "FQDN" => errors.check(&at, *address, names::is_dns1123_subdomain(address)),
            _ => {}
        }
    }
    for (name, rule) in [
        (
            "nodeName",
            names::is_dns1123_subdomain as fn(&str) -> Checked,
        ),
        ("hostname", names::is_dns1123_label),
        ("zone", names::is_label_value),
    ] {
        if let Some(value) = tree::get(endpoint, name).and_then(Value::as_str) {
            errors.check(&path.child(name), value, rule(value));
        }
    }
}

fn ports(errors: &mut ErrorList, slice: &Value, path: &Path) {
    let ports = tree::list(slice, "ports");
    if ports.len() > MAX_PORTS {
        errors.push(field::too_many(path, ports.len(), MAX_PORTS));
    }
    let mut seen = Unique::new();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(port, "name");
        if !name.is_empty() {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        }
        seen.insert(errors, name, &at.child("name"));
        checks::required_one_of(errors, port, "protocol", &at, &["SCTP", "TCP", "UDP"]);
        if let Some(number) = tree::int(port, "port") {
            checks::port_number(errors, number, &at.child("port"));
        }
        let protocol = tree::text(port, "appProtocol");
        if !protocol.is_empty() {
            errors.check(
                &at.child("appProtocol"),
                protocol,
                names::is_qualified_name(protocol),
            );
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    checks::immutable(&mut errors, new, old, "addressType");
    errors
}

pub(super) fn warnings(slice: &Value) -> Vec<String> {
    match tree::text(slice, "addressType") {
        "FQDN" => vec!["spec.addressType: FQDN endpoints are deprecated".to_owned()],
        _ => Vec::new(),
    }
}
