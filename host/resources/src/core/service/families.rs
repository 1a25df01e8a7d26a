//! Which address families a service gets (`initIPFamilyFields` of
//! `pkg/registry/core/service/storage/alloc.go`).

use k3s_kinds::validate_cluster_fields;
use k3s_meta::{Path, field, tree};
use serde_json::{Value, json};

use super::settings::family_of;
use super::{Allocation, is_headless, needs_address};

const SINGLE: &str = "SingleStack";
const PREFER: &str = "PreferDualStack";
const REQUIRE: &str = "RequireDualStack";
const POLICY: &str = "spec.ipFamilyPolicy";
const FAMILIES: &str = "spec.ipFamilies";
const ADDRESSES: &str = "spec.clusterIPs";

/// Whether a service of both families, if there are two, is left as it is (`old` and `service` say the
/// same). It does not follow a cluster that gains or loses a family.
pub(super) fn is_settled(service: &Value, old: Option<&Value>) -> bool {
    let Some(old) = old else {
        return false;
    };
    let same = |path| tree::texts(service, path) == tree::texts(old, path);
    let before = tree::text(old, POLICY);
    needs_address(service)
        && tree::text(service, "spec.type") == tree::text(old, "spec.type")
        && tree::text(service, POLICY) == PREFER
        && (before.is_empty() || before == PREFER)
        && same(ADDRESSES)
        && same(FAMILIES)
}

/// Decides on policy and families, and writes both into the service.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    if !needs_address(service) || is_settled(service, old) {
        return;
    }
    let is_open = is_headless(service) && !tree::has(service, "spec.selector");
    choose_policy(service, old, is_open);
    let errors = validate_cluster_fields(service, old);
    if !errors.is_empty() {
        allocation.errors.append(errors);
        return;
    }
    release(allocation, service, old);
    check_counts(allocation, service);
    infer(allocation, service);
    if !allocation.errors.is_empty() {
        return;
    }
    if is_open {
        // Nothing is known of its endpoints, so they may be of both families on any cluster.
        complete(allocation, service, true);
        return;
    }
    check_cluster(allocation, service);
    if allocation.errors.is_empty() {
        let has_two = allocation.settings.families().len() == 2;
        complete(allocation, service, has_two);
    }
}

/// A policy that is left out is the one before; one of a new service follows what it has.
fn choose_policy(service: &mut Value, old: Option<&Value>, is_open: bool) {
    if tree::get(service, POLICY).is_some() {
        return;
    }
    let before = old.and_then(|old| tree::get(old, POLICY)).cloned();
    let default = if is_open { REQUIRE } else { SINGLE };
    tree::set(service, POLICY, before.unwrap_or_else(|| default.into()));
}

/// A service that says that it has one family gives the second one up; others must say so.
fn release(allocation: &mut Allocation<'_>, service: &mut Value, old: Option<&Value>) {
    let Some(old) = old else {
        return;
    };
    for (path, what) in [
        (ADDRESSES, "secondary cluster IP"),
        (FAMILIES, "secondary IP family"),
    ] {
        let [mut after, before] = [&*service, old].map(|it| tree::list(it, path).to_vec());
        if tree::text(service, POLICY) == SINGLE {
            if after == before && after.len() > 1 {
                after.truncate(1);
                tree::set(service, path, after);
            }
        } else if is_reduced(&after, &before) {
            refuse_policy(
                allocation,
                service,
                &format!("must be 'SingleStack' to release the {what}"),
            );
        }
    }
}

/// Whether some are left of more (`reducedClusterIPs`).
fn is_reduced(after: &[Value], before: &[Value]) -> bool {
    !after.is_empty() && after.len() < before.len()
}

fn check_counts(allocation: &mut Allocation<'_>, service: &Value) {
    if tree::text(service, POLICY) != SINGLE {
        return;
    }
    for (path, what) in [(ADDRESSES, "cluster IPs"), (FAMILIES, "IP families")] {
        if tree::list(service, path).len() == 2 {
            let why = format!(
                "must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified"
            );
            refuse_policy(allocation, service, &why);
        }
    }
}

/// Adds the families of addresses that were asked for.
fn infer(allocation: &mut Allocation<'_>, service: &mut Value) {
    let available = allocation.settings.families();
    let mut families = tree::list(service, FAMILIES).to_vec();
    let addresses = tree::list(service, ADDRESSES);
    for (index, text) in addresses.iter().enumerate().skip(families.len()) {
        let Some(family) = text
            .as_str()
            .and_then(|text| text.parse().ok())
            .map(family_of)
        else {
            break;
        };
        if available.contains(&family) {
            families.push(family.into());
        } else {
            let path = Path::new(ADDRESSES).index(index);
            let why = format!("{family} is not configured on this cluster");
            let shown = tree::get(service, ADDRESSES);
            allocation.errors.push(field::invalid(&path, shown, why));
        }
    }
    if !families.is_empty() {
        tree::set(service, FAMILIES, families);
    }
}

/// What is asked for is there.
fn check_cluster(allocation: &mut Allocation<'_>, service: &Value) {
    let available = allocation.settings.families();
    if tree::text(service, POLICY) == REQUIRE && available.len() < 2 {
        let why = "this cluster is not configured for dual-stack services";
        refuse_policy(allocation, service, why);
    }
    for (index, family) in tree::texts(service, FAMILIES).into_iter().enumerate() {
        if !available.contains(&family) {
            let path = Path::new(FAMILIES).index(index);
            let why = "not configured on this cluster";
            allocation.errors.push(field::invalid(&path, family, why));
        }
    }
}

/// Adds the primary family where there is none, and the other one where there may be two.
fn complete(allocation: &Allocation<'_>, service: &mut Value, may_have_two: bool) {
    let mut families: Vec<String> = tree::texts(service, FAMILIES)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if families.is_empty() {
        families.push(allocation.settings.primary().to_owned());
    }
    if may_have_two && families.len() == 1 && tree::text(service, POLICY) != SINGLE {
        let is_four = families.iter().any(|family| family == "IPv4");
        families.push(if is_four { "IPv6" } else { "IPv4" }.to_owned());
    }
    tree::set(service, FAMILIES, json!(families));
}

fn refuse_policy(allocation: &mut Allocation<'_>, service: &Value, why: &str) {
    let shown = tree::get(service, POLICY);
    let error = field::invalid(&Path::new(POLICY), shown, why);
    allocation.errors.push(error);
}
