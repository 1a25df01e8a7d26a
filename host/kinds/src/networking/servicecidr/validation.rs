//! Validation of service CIDRs.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.cidrs");
    let cidrs = tree::texts(object, "spec.cidrs");
    if cidrs.is_empty() {
        errors.push(field::required(&path, "at least one CIDR required"));
    }
    if cidrs.len() > 2 {
        let detail = "may only hold up to 2 values";
        errors.push(field::invalid(
            &path,
            tree::get(object, "spec.cidrs"),
            detail,
        ));
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        if cidr.parse::<ipnet::IpNet>().is_err() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(field::invalid(&path.index(index), *cidr, detail));
        }
    }
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    checks::immutable(&mut errors, new, old, "spec.cidrs");
    errors
}
