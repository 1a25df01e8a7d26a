//! Validation of endpoint slices.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::{object, tree};
use serde_json::Value;

use crate::address_warnings::{self as addresses, AddressForm};
use crate::checks::{self, Check, Unique};
use crate::equality::semantic_eq;
use crate::object_meta;

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20_000;
const MAX_TOPOLOGY: usize = 16;
const MAX_HINTS: usize = 8;
const TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

pub(super) fn validate(slice: &Value) -> ErrorList {
    let mut errors = head(slice);
    errors.append(endpoints(slice));
    errors
}

/// Everything but endpoints.
fn head(slice: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::required_one_of(&mut errors, slice, "addressType", &Path::root(), &TYPES);
    ports(&mut errors, slice, &Path::new("ports"));
    errors
}

fn endpoints(slice: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let kind = tree::text(slice, "addressType");
    let path = Path::new("endpoints");
    let endpoints = tree::list(slice, "endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        return field::too_many(&path, endpoints.len(), MAX_ENDPOINTS).into();
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let path = path.index(index);
        addresses(&mut errors, endpoint, kind, &path.child("addresses"));
        self::endpoint(&mut errors, endpoint, &path);
    }
    errors
}

fn addresses(errors: &mut ErrorList, endpoint: &Value, kind: &str, path: &Path) {
    let addresses = tree::texts(endpoint, "addresses");
    if addresses.is_empty() {
        errors.push(field::required(path, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        errors.push(field::too_many(path, addresses.len(), MAX_ADDRESSES));
    }
    for (index, address) in addresses.into_iter().enumerate() {
        let at = path.index(index);
        match kind {
            "IPv4" => ip(errors, address, path, &at, true),
            "IPv6" => ip(errors, address, path, &at, false),
            "FQDN" => domain(errors, address, &at),
            _ => {}
        }
    }
}

fn ip(errors: &mut ErrorList, address: &str, list: &Path, path: &Path, is_v4: bool) {
    let before = errors.len();
    let outcome = if is_v4 {
        names::is_ip(address)
    } else {
        checks::canonical_ip(address)
    };
    errors.check(path, address, outcome);
    if errors.len() > before {
        return;
    }
    let found = address.parse::<std::net::IpAddr>();
    if found.is_ok_and(|found| found.is_ipv4() != is_v4) {
        let family = if is_v4 { "IPv4" } else { "IPv6" };
        let detail = format!("must be an {family} address");
        errors.push(field::invalid(list, address, detail));
    }
    errors.append(checks::special_ip(address, path));
}

/// A name of at least two labels (`IsFullyQualifiedDomainName`).
fn domain(errors: &mut ErrorList, address: &str, path: &Path) {
    if address.is_empty() {
        errors.push(field::required(path, ""));
        return;
    }
    let name = address.strip_suffix('.').unwrap_or(address);
    let joined = |outcome: Checked| {
        let texts: Vec<String> = outcome.err().into_iter().flatten().collect();
        (!texts.is_empty()).then(|| texts.join(","))
    };
    if let Some(detail) = joined(names::is_dns1123_subdomain(name)) {
        errors.push(field::invalid(path, name, detail));
    } else if !name.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(field::invalid(path, name, detail));
    } else {
        let mut labels = name.split('.');
        let wrong = labels.find_map(|label| Some((label, joined(names::is_dns1123_label(label))?)));
        if let Some((label, detail)) = wrong {
            errors.push(field::invalid(path, label, detail));
        }
    }
}

fn endpoint(errors: &mut ErrorList, endpoint: &Value, path: &Path) {
    if let Some(node) = tree::get(endpoint, "nodeName").and_then(Value::as_str) {
        let outcome = names::is_dns1123_subdomain(node);
        errors.check(&path.child("nodeName"), node, outcome);
    }
    let topology = tree::map(endpoint, "deprecatedTopology");
    let at = path.child("deprecatedTopology");
    if topology.len() > MAX_TOPOLOGY {
        errors.push(field::too_many(&at, topology.len(), MAX_TOPOLOGY));
    }
    errors.append(object_meta::validate_labels(
        endpoint,
        "deprecatedTopology",
        &at,
    ));
    if let Some(host) = tree::get(endpoint, "hostname").and_then(Value::as_str) {
        let outcome = names::is_dns1123_label(host);
        errors.check(&path.child("hostname"), host, outcome);
    }
    for (name, rule) in [
        ("forZones", names::is_label_value as fn(&str) -> Checked),
        ("forNodes", names::is_dns1123_subdomain),
    ] {
        let hints = tree::get(endpoint, "hints").unwrap_or(&Value::Null);
        let (list, at) = (tree::list(hints, name), path.child("hints").child(name));
        if list.len() > MAX_HINTS {
            errors.push(field::too_many(&at, list.len(), MAX_HINTS));
            break;
        }
        let mut seen = Unique::new();
        for (index, hint) in list.iter().enumerate() {
            let (hint, at) = (tree::text(hint, "name"), at.index(index).child("name"));
            seen.insert(errors, hint, &at);
            errors.check(&at, hint, rule(hint));
        }
    }
}

fn ports(errors: &mut ErrorList, slice: &Value, path: &Path) {
    let ports = tree::list(slice, "ports");
    if ports.len() > MAX_PORTS {
        errors.push(field::too_many(path, ports.len(), MAX_PORTS));
        return;
    }
    let mut seen = Unique::new();
    for (index, port) in ports.iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let at = path.index(index);
        let name = tree::text(port, "name");
        if !name.is_empty() {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        }
        seen.insert(errors, name, &at.child("name"));
        if tree::get(port, "protocol").is_none() {
            errors.push(field::required(&at.child("protocol"), ""));
        }
        checks::supported(errors, port, "protocol", &at, &PROTOCOLS);
        if let Some(protocol) = tree::get(port, "appProtocol").and_then(Value::as_str) {
            let outcome = names::is_qualified_name(protocol);
            errors.check(&at.child("appProtocol"), protocol, outcome);
        }
    }
}

/// Endpoints that are as they were are not held against newer rules.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = head(new);
    if !semantic_eq(tree::get(new, "endpoints"), tree::get(old, "endpoints")) {
        errors.append(endpoints(new));
    }
    checks::immutable_text(&mut errors, new, old, "addressType");
    errors
}

pub(super) fn warnings(slice: &Value) -> Vec<String> {
    let mut warnings = update_warnings(slice);
    if tree::text(slice, "addressType") == "FQDN" {
        warnings.push("spec.addressType: FQDN endpoints are deprecated".to_owned());
    }
    warnings
}

/// Not for slices of the controllers, which write addresses in their standard form.
pub(super) fn update_warnings(slice: &Value) -> Vec<String> {
    const CONTROLLERS: [&str; 2] = [
        "endpointslice-controller.k8s.io",
        "endpointslicemirroring-controller.k8s.io",
    ];
    match object::label(slice, "endpointslice.kubernetes.io/managed-by") {
        Some(manager) if CONTROLLERS.contains(&manager) => Vec::new(),
        _ => addresses::of(
            slice,
            &Path::root(),
            &[("endpoints.addresses", AddressForm::Address)],
        ),
    }
}
