//! Validation of the addresses that a service has in the cluster, of their families and of the policy that
//! decides on them.

use std::net::IpAddr;

use k3s_meta::address::parse_loosely;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const POLICIES: [&str; 3] = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const MAX_ADDRESSES: usize = 2;

/// Whether the service has endpoints alone.
pub(super) fn is_headless(service: &Value) -> bool {
    tree::texts(service, "spec.clusterIPs") == ["None"]
}

/// Errors of the fields by themselves and beside one another (`ValidateServiceClusterIPsRelatedFields`);
/// they are looked at before addresses are given out as well. `old` is the stored service of an update.
#[must_use]
pub fn validate_cluster_fields(service: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    if tree::text(service, "spec.type") == "ExternalName" {
        return errors;
    }
    let spec = tree::get(service, "spec").unwrap_or(&Value::Null);
    let path = Path::new("spec");
    primary(&mut errors, spec, &path.child("clusterIPs"));
    let at = path.child("ipFamilies");
    let mut seen = Unique::new();
    for (index, family) in tree::texts(spec, "ipFamilies").into_iter().enumerate() {
        if !FAMILIES.contains(&family) {
            errors.push(field::not_supported(&at.index(index), family, &FAMILIES));
        }
        seen.insert(&mut errors, family, &at.index(index));
    }
    checks::supported(&mut errors, spec, "ipFamilyPolicy", &path, &POLICIES);
    let kept = old.map(|old| tree::texts(old, "spec.clusterIPs"));
    let at = path.child("clusterIPs");
    if addresses(&mut errors, spec, &kept.unwrap_or_default(), &at) {
        pairs(&mut errors, service, spec, &at);
    }
    errors
}

/// Both spellings of the primary address are the same.
fn primary(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let first = tree::texts(spec, "clusterIPs").first().copied();
    let detail = match (tree::text(spec, "clusterIP"), first) {
        ("", Some(_)) => "must be empty when `clusterIP` is not specified",
        ("", None) => return,
        (_, None) => {
            errors.push(field::required(path, ""));
            return;
        }
        (primary, Some(first)) if first != primary => "first value must match `clusterIP`",
        _ => return,
    };
    errors.push(field::invalid(path, tree::get(spec, "clusterIPs"), detail));
}

/// Validates the addresses one by one; those that the service has already are good. Says whether all are.
fn addresses(errors: &mut ErrorList, spec: &Value, kept: &[&str], path: &Path) -> bool {
    let all = tree::texts(spec, "clusterIPs");
    let shown = tree::get(spec, "clusterIPs");
    let before = errors.len();
    for (index, ip) in all.iter().enumerate() {
        if index == 0 && *ip == "None" {
            if all.len() > 1 {
                let detail = "'None' must be the first and only value";
                errors.push(field::invalid(path, shown, detail));
            }
        } else if !kept.contains(ip) {
            errors.check(&path.index(index), *ip, names::is_ip(ip));
        }
    }
    let are_good = errors.len() == before;
    if all.len() > MAX_ADDRESSES {
        errors.push(field::invalid(path, shown, "may only hold up to 2 values"));
    }
    are_good
}

/// There is one address of each family, in the order of the families.
fn pairs(errors: &mut ErrorList, service: &Value, spec: &Value, path: &Path) {
    let all = tree::texts(spec, "clusterIPs");
    let is_v6 = |ip: &str| matches!(parse_loosely(ip), Some(IpAddr::V6(_)));
    let six = all.iter().filter(|ip| is_v6(ip)).count();
    if all.len() > 1 && (six == 0 || six == all.len()) {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(field::invalid(path, tree::get(spec, "clusterIPs"), detail));
    }
    if is_headless(service) {
        return;
    }
    let families = tree::texts(spec, "ipFamilies");
    for (index, (ip, family)) in all.iter().zip(families).enumerate() {
        let wanted = match family {
            "IPv4" if is_v6(ip) => "an IPv4",
            "IPv6" if !is_v6(ip) => "an IPv6",
            _ => continue,
        };
        let detail = format!("expected {wanted} value as indicated by `ipFamilies[{index}]`");
        errors.push(field::invalid(&path.index(index), *ip, detail));
    }
}

/// Errors of the step between one stack and two (`validateUpgradeDowngradeClusterIPs`,
/// `validateUpgradeDowngradeIPFamilies`).
pub(super) fn validate_step(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let is_external = |service| tree::text(service, "spec.type") == "ExternalName";
    if is_external(new) || is_external(old) {
        return errors;
    }
    let (now, before) = (is_headless(new), is_headless(old));
    if !(now && before) {
        cluster_ips(&mut errors, new, old);
    }
    if !now && !before {
        families(&mut errors, new, old);
    }
    errors
}

const FIXED: &str = "may not change once set";

fn cluster_ips(errors: &mut ErrorList, new: &Value, old: &Value) {
    let [after, before] = [new, old].map(|service| tree::texts(service, "spec.clusterIPs"));
    let path = Path::new("spec").child("clusterIPs");
    let shown = tree::get(new, "spec.clusterIPs");
    if after.len() == before.len() {
        for index in changed(&after, &before) {
            errors.push(field::invalid(&path.index(index), shown, FIXED));
        }
        return;
    }
    let first = path.index(0);
    match (after.first(), before.first()) {
        (None, Some(_)) => {
            let detail = "primary clusterIP can not be unset";
            errors.push(field::invalid(&first, shown, detail));
        }
        (Some(after), Some(before)) if after != before => {
            errors.push(field::invalid(&first, shown, FIXED));
        }
        _ => {}
    }
    if after.len() < before.len() && after.len() == 1 {
        releases(errors, new, "clusterIP");
    }
}

fn families(errors: &mut ErrorList, new: &Value, old: &Value) {
    let [after, before] = [new, old].map(|service| tree::texts(service, "spec.ipFamilies"));
    // Upstream names the first one, whichever changed.
    let path = Path::new("spec").child("ipFamilies").index(0);
    if after.len() == before.len() {
        for _ in changed(&after, &before) {
            let shown = tree::get(new, "spec.ipFamilies");
            errors.push(field::invalid(&path, shown, FIXED));
        }
        return;
    }
    if after.len() < before.len() && !tree::has(new, "spec.clusterIPs") {
        let detail = "primary ipFamily can not be unset";
        errors.push(field::invalid(
            &path,
            tree::get(new, "spec.ipFamilies"),
            detail,
        ));
    }
    let changes = after
        .first()
        .zip(before.first())
        .is_some_and(|(a, b)| a != b);
    if changes {
        // The addresses are what upstream shows here.
        errors.push(field::invalid(
            &path,
            tree::get(new, "spec.clusterIPs"),
            FIXED,
        ));
    }
    if after.len() < before.len() && after.len() == 1 {
        releases(errors, new, "ipFamily");
    }
}

fn changed(after: &[&str], before: &[&str]) -> Vec<usize> {
    let pairs = after.iter().zip(before).enumerate();
    pairs
        .filter(|(_, (after, before))| after != before)
        .map(|(index, _)| index)
        .collect()
}

/// The second of two is given up by saying so.
fn releases(errors: &mut ErrorList, service: &Value, what: &str) {
    let at = "spec.ipFamilyPolicy";
    if tree::text(service, at) != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        errors.push(field::invalid(
            &Path::new(at),
            tree::get(service, at),
            detail,
        ));
    }
}
