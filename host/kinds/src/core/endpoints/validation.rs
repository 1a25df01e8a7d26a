//! Validation of endpoints (`ValidateEndpoints`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::equality::semantic_eq;

pub(super) fn validate(endpoints: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, subset) in tree::list(endpoints, "subsets").iter().enumerate() {
        self::subset(&mut errors, subset, &Path::new("subsets").index(index));
    }
    errors
}

/// Subsets that were taken once stay good.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    if semantic_eq(tree::get(new, "subsets"), tree::get(old, "subsets")) {
        return ErrorList::new();
    }
    validate(new)
}

fn subset(errors: &mut ErrorList, subset: &Value, path: &Path) {
    if !tree::has(subset, "addresses") && !tree::has(subset, "notReadyAddresses") {
        errors.push(field::required(
            path,
            "must specify `addresses` or `notReadyAddresses`",
        ));
    }
    for list in ["addresses", "notReadyAddresses"] {
        for (index, address) in tree::list(subset, list).iter().enumerate() {
            self::address(errors, address, &path.child(list).index(index));
        }
    }
    let ports = tree::list(subset, "ports");
    for (index, port) in ports.iter().enumerate() {
        let at = path.child("ports").index(index);
        let name = tree::text(port, "name");
        if !name.is_empty() {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        } else if ports.len() > 1 {
            errors.push(field::required(&at.child("name"), ""));
        }
        self::port(errors, port, &at);
    }
}

fn address(errors: &mut ErrorList, address: &Value, path: &Path) {
    let (ip, at) = (tree::text(address, "ip"), path.child("ip"));
    errors.check(&at, ip, names::is_ip(ip));
    let host = tree::text(address, "hostname");
    if !host.is_empty() {
        errors.check(&path.child("hostname"), host, names::is_dns1123_label(host));
    }
    if let Some(node) = tree::get(address, "nodeName").and_then(Value::as_str) {
        let outcome = names::is_dns1123_subdomain(node);
        errors.check(&path.child("nodeName"), node, outcome);
    }
    errors.append(checks::special_ip(ip, &at));
}

fn port(errors: &mut ErrorList, port: &Value, path: &Path) {
    let number = tree::int(port, "port").unwrap_or(0);
    checks::port_number(errors, number, &path.child("port"));
    checks::required_one_of(errors, port, "protocol", path, &["SCTP", "TCP", "UDP"]);
    if let Some(protocol) = tree::get(port, "appProtocol").and_then(Value::as_str) {
        let outcome = names::is_qualified_name(protocol);
        errors.check(&path.child("appProtocol"), protocol, outcome);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(address: Value) -> Value {
        json!({"subsets": [{"addresses": [address], "ports": [{"port": 80, "protocol": "TCP"}]}]})
    }

    #[test]
    fn addresses_are_checked_by_both_of_upstreams_rules() {
        let at = "subsets[0].addresses[0]";
        for (address, text) in [
            (
                json!({"ip": "a"}),
                format!(
                    "[{at}.ip: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff), {at}.ip: Invalid value: \"a\": must be a valid IP address]"
                ),
            ),
            (
                json!({"ip": "127.0.0.1"}),
                format!(
                    "{at}.ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)"
                ),
            ),
            (
                json!({"ip": "10.0.0.1", "hostname": "10.0.0.1"}),
                format!("{at}.hostname: Invalid value: \"10.0.0.1\": must not contain dots"),
            ),
        ] {
            assert_eq!(validate(&with(address)).to_string(), text);
        }
        assert!(validate(&with(json!({"ip": "224.0.1.1", "nodeName": "n"}))).is_empty());
    }

    #[test]
    fn what_was_taken_once_stays_good() {
        let old = with(json!({"ip": "127.0.0.1"}));
        assert!(validate_update(&old, &old).is_empty());
        assert!(!validate_update(&with(json!({"ip": "127.0.0.2"})), &old).is_empty());
    }
}
