//! Validation of service CIDRs.

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names::{self, Checked};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::Check;

pub(super) fn validate(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.cidrs");
    let cidrs = tree::texts(object, "spec.cidrs");
    if cidrs.is_empty() {
        errors.push(field::required(&path, "at least one CIDR required"));
        return errors;
    }
    if cidrs.len() > 2 {
        let spec = tree::get(object, "spec");
        errors.push(field::invalid(&path, spec, "may only hold up to 2 values"));
        return errors;
    }
    for (index, cidr) in cidrs.iter().enumerate() {
        errors.check(&path.index(index), *cidr, canonical(cidr));
    }
    let families: Vec<bool> = cidrs
        .iter()
        .filter_map(|cidr| parse_loosely(cidr.split('/').next()?))
        .map(|address| address.is_ipv4())
        .collect();
    if matches!(families.as_slice(), [first, second] if first == second) {
        let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.push(field::invalid(
            &path,
            tree::get(object, "spec.cidrs"),
            detail,
        ));
    }
    errors
}

/// `IsValidCIDR`
fn canonical(text: &str) -> Checked {
    names::is_cidr(text)?;
    match text.parse::<ipnet::IpNet>().map(|cidr| cidr.to_string()) {
        Ok(canonical) if canonical != text => {
            Err(format!("must be in canonical form ({canonical:?})").into())
        }
        _ => Ok(()),
    }
}

/// A second family may be added, nothing else changes.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec.cidrs");
    let [after, before] = [new, old].map(|object| tree::texts(object, "spec.cidrs"));
    let is_extended = matches!((before.len(), after.len()), (1, 2));
    if before.len() != after.len() && !is_extended {
        errors.push(field::immutable(&path, tree::get(new, "spec.cidrs")));
        return errors;
    }
    for (index, (after, before)) in after.iter().zip(&before).enumerate() {
        if after != before {
            errors.push(field::immutable(&path.index(index), *after));
        }
    }
    if is_extended {
        errors.append(validate(new));
    }
    errors
}
