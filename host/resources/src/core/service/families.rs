//! Which address families a service gets (`pkg/registry/core/service/storage/alloc.go`).

use k3s_meta::{Path, field, tree};
use serde_json::{Value, json};

use super::Allocation;
use super::settings::family_of;

const SINGLE: &str = "SingleStack";
const REQUIRE: &str = "RequireDualStack";

/// Decides on families and policy, writes both into the service, and returns the families.
pub(super) fn assign(allocation: &mut Allocation<'_>, service: &mut Value) -> Vec<&'static str> {
    let spec = Path::new("spec");
    let available = allocation.settings.families();
    let mut families = asked(allocation, service, &spec, &available);
    for family in requested_addresses(service) {
        if !families.contains(&family) {
            families.push(family);
        }
    }
    if families.is_empty() {
        families.push(allocation.settings.primary());
    }
    let headless = tree::text(service, "spec.clusterIP") == "None";
    let selectorless = tree::get(service, "spec.selector")
        .and_then(Value::as_object)
        .is_none_or(|m| m.is_empty());
    let mut policy = tree::text(service, "spec.ipFamilyPolicy").to_owned();
    if policy.is_empty() {
        let both = families.len() > 1 || (headless && selectorless);
        policy = if both { REQUIRE } else { SINGLE }.to_owned();
    }
    let unsupported = policy == REQUIRE && available.len() < 2 && !(headless && selectorless);
    if unsupported {
        let path = spec.child("ipFamilyPolicy");
        allocation.errors.push(field::invalid(
            &path,
            policy.as_str(),
            "this cluster is not configured for dual-stack services",
        ));
    }
    if policy != SINGLE {
        let more: &[&'static str] = if headless && selectorless {
            &["IPv4", "IPv6"]
        } else {
            available.as_slice()
        };
        let missing: Vec<_> = more
            .iter()
            .copied()
            .filter(|family| !families.contains(family))
            .collect();
        families.extend(missing);
    }
    tree::set(service, "spec.ipFamilies", json!(families));
    tree::set(service, "spec.ipFamilyPolicy", policy);
    families
}

fn asked(
    allocation: &mut Allocation<'_>,
    service: &Value,
    spec: &Path,
    available: &[&'static str],
) -> Vec<&'static str> {
    let mut families = Vec::new();
    let headless = tree::text(service, "spec.clusterIP") == "None";
    for (index, wanted) in tree::list(service, "spec.ipFamilies").iter().enumerate() {
        let wanted = wanted.as_str().unwrap_or_default();
        match ["IPv4", "IPv6"]
            .into_iter()
            .find(|family| *family == wanted)
        {
            Some(family) if available.contains(&family) || headless => families.push(family),
            Some(_) => {
                let path = spec.child("ipFamilies").index(index);
                allocation.errors.push(field::invalid(
                    &path,
                    wanted,
                    "not configured on this cluster",
                ));
            }
            // The kind's validation names what is no family.
            None => {}
        }
    }
    families
}

fn requested_addresses(service: &Value) -> Vec<&'static str> {
    let list = tree::list(service, "spec.clusterIPs")
        .iter()
        .filter_map(Value::as_str);
    let single = tree::text(service, "spec.clusterIP");
    list.chain([single])
        .filter_map(|text| text.parse().ok())
        .map(family_of)
        .collect()
}
