//! Validation of endpoints.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};

pub(super) fn validate(endpoints: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (index, subset) in tree::list(endpoints, "subsets").iter().enumerate() {
        self::subset(&mut errors, subset, &Path::new("subsets").index(index));
    }
    errors
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
            let ip = tree::text(address, "ip");
            let at = path.child(list).index(index).child("ip");
            errors.check(&at, ip, names::is_ip(ip));
            errors.append(checks::special_ip(ip, &at));
        }
    }
    let ports = tree::list(subset, "ports");
    for (index, port) in ports.iter().enumerate() {
        let at = path.child("ports").index(index);
        let name = tree::text(port, "name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(field::required(&at.child("name"), ""));
            }
        } else {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        }
        checks::port_number(
            errors,
            tree::int(port, "port").unwrap_or(0),
            &at.child("port"),
        );
        checks::required_one_of(errors, port, "protocol", &at, &["SCTP", "TCP", "UDP"]);
    }
}
