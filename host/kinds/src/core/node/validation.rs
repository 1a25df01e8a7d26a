//! Validation of nodes.

use std::collections::HashSet;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::equality::semantic_eq;

pub(super) fn validate(node: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    taints(&mut errors, node);
    let path = Path::new("spec.podCIDRs");
    let cidrs = tree::texts(node, "spec.podCIDRs");
    for (index, cidr) in cidrs.iter().enumerate() {
        if cidr.parse::<ipnet::IpNet>().is_err() {
            let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.push(field::invalid(&path.index(index), *cidr, detail));
        }
    }
    if cidrs.len() > 2 {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(field::invalid(
            &path,
            tree::get(node, "spec.podCIDRs"),
            detail,
        ));
    }
    let primary = tree::text(node, "spec.podCIDR");
    if !primary.is_empty() && cidrs.first().is_some_and(|first| *first != primary) {
        errors.push(field::invalid(
            &path.index(0),
            cidrs.first().copied().unwrap_or_default(),
            "must match `spec.podCIDR`",
        ));
    }
    errors
}

fn taints(errors: &mut ErrorList, node: &Value) {
    let path = Path::new("spec.taints");
    let mut seen = HashSet::new();
    for (index, taint) in tree::list(node, "spec.taints").iter().enumerate() {
        let at = path.index(index);
        let [key, value, effect] = ["key", "value", "effect"].map(|part| tree::text(taint, part));
        errors.check(&at.child("key"), key, names::is_qualified_name(key));
        errors.check(&at.child("value"), value, names::is_label_value(value));
        checks::required_one_of(
            errors,
            taint,
            "effect",
            &at,
            &["NoSchedule", "PreferNoSchedule", "NoExecute"],
        );
        if !seen.insert((key, effect)) {
            let mut duplicate = field::duplicate(&at, taint);
            "taints must be unique by key and effect pair".clone_into(&mut duplicate.detail);
            errors.push(duplicate);
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let path = Path::new("spec");
    let (after, before) = (
        tree::texts(new, "spec.podCIDRs"),
        tree::texts(old, "spec.podCIDRs"),
    );
    if !before.is_empty() && after != before {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(field::forbidden(&path.child("podCIDRs"), detail));
    }
    let provider = tree::text(old, "spec.providerID");
    if !provider.is_empty() && tree::text(new, "spec.providerID") != provider {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(field::forbidden(&path.child("providerID"), detail));
    }
    let rest = |node: &Value| {
        let mut spec = tree::get(node, "spec").cloned().unwrap_or_default();
        for open in [
            "podCIDR",
            "podCIDRs",
            "providerID",
            "unschedulable",
            "taints",
            "configSource",
        ] {
            tree::remove(&mut spec, open);
        }
        // Go drops false and empty; so does this comparison.
        spec
    };
    if !semantic_eq(Some(&rest(new)), Some(&rest(old))) {
        let detail = "node updates may only change labels, taints, or capacity (or configSource, if the DynamicKubeletConfig feature gate is enabled)";
        errors.push(field::forbidden(&path, detail));
    }
    errors
}

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut seen = HashSet::new();
    for (index, address) in tree::list(new, "status.addresses").iter().enumerate() {
        let key = (tree::text(address, "type"), tree::text(address, "address"));
        if !seen.insert(key) {
            errors.push(field::duplicate(
                &Path::new("status.addresses").index(index),
                address,
            ));
        }
    }
    errors
}

pub(super) fn warnings(node: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if tree::has(node, "spec.externalID") {
        let text = "spec.externalID: this field is deprecated, and is unused by Kubernetes";
        warnings.push(text.to_owned());
    }
    warnings
}
