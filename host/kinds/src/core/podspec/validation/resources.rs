//! Requests and limits.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{Quantity, tree};
use k3s_objects::PodSpec;
use k3s_objects::resources::ResourceList;
use serde_json::Value;

use super::claims;
use super::resource_names::{container_name, is_huge_pages, is_integer, pod_name};
use crate::core::pod::resources::is_overcommit_allowed;
use crate::object_meta::NOT_NEGATIVE;
use crate::quantity;

/// Text of the error about what is no quantity.
const NO_QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// A rule for names of resources.
type NameRule = fn(&mut ErrorList, &str, &Path);

/// Validates `resources` of a container of a pod, at `path`.
pub(super) fn of_container(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    let requirements = tree::get(container, "resources").unwrap_or(&Value::Null);
    self::requirements(errors, requirements, path, container_name);
    claims::used(errors, container, &path.child("claims"), spec);
}

/// Validates what running pods cost beside their containers, the map `name` of `holder`. Upstream reads it
/// as the limits of a container.
pub(crate) fn overhead(errors: &mut ErrorList, holder: &Value, name: &str, path: &Path) {
    let amounts = tree::get(holder, name).cloned().unwrap_or_default();
    let limits = serde_json::json!({"limits": amounts});
    requirements(errors, &limits, path, container_name);
}

/// Validates requirements of the pod as a whole.
pub(super) fn of_pod(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(own) = tree::get(spec, "resources") else {
        return;
    };
    let path = path.child("resources");
    if tree::text(spec, "os.name") == "windows" {
        let detail = "may not be set for a windows pod";
        errors.push(field::forbidden(&path, detail));
        return;
    }
    if tree::get(own, "claims").is_some() {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(field::forbidden(&path.child("claims"), detail));
    }
    requirements(errors, own, &path, pod_name);
    claims::used(errors, spec, &path.child("claims"), spec);
    consistency(errors, spec, own, &path);
}

fn requirements(errors: &mut ErrorList, requirements: &Value, path: &Path, rule: NameRule) {
    for (name, amount) in tree::map(requirements, "limits") {
        entry(
            errors,
            (name, amount),
            &path.child("limits").key(name),
            rule,
        );
    }
    let limits = tree::map(requirements, "limits");
    for (name, amount) in tree::map(requirements, "requests") {
        entry(
            errors,
            (name, amount),
            &path.child("requests").key(name),
            rule,
        );
        match limits.get(name) {
            Some(limit) => at_most(errors, name, (amount, limit), &path.child("requests")),
            None if !is_overcommit_allowed(name) => {
                let detail = "Limit must be set for non overcommitable resources";
                errors.push(field::required(&path.child("limits"), detail));
            }
            None => {}
        }
    }
    huge_pages_alone(errors, requirements, path);
}

fn entry(errors: &mut ErrorList, (name, amount): (&str, &Value), path: &Path, rule: NameRule) {
    rule(errors, name, path);
    amount_of(errors, name, amount, path);
    let Some(pages) = quantity::read(amount).filter(|_| is_huge_pages(name)) else {
        return;
    };
    if !is_multiple(name, pages) {
        let detail = format!("{pages} is not positive integer multiple of {name}");
        errors.push(field::invalid(path, amount, detail));
    }
}

/// Whether an amount of huge pages is a whole number of pages of the size that the name has
/// (`IsHugePageResourceValueDivisible`).
fn is_multiple(name: &str, amount: Quantity) -> bool {
    let size = name.strip_prefix("hugepages-").map(Quantity::parse);
    let Some(Ok(size)) = size else {
        return false;
    };
    let bytes = size.value();
    bytes > 0 && size.is_integer() && amount.value().checked_rem(bytes) == Some(0)
}

/// Huge pages are charged to a memory cgroup, which needs CPU or memory.
fn huge_pages_alone(errors: &mut ErrorList, requirements: &Value, path: &Path) {
    let has = |wanted: fn(&str) -> bool| {
        ["limits", "requests"].iter().any(|field| {
            tree::map(requirements, field)
                .keys()
                .any(|name| wanted(name))
        })
    };
    if has(is_huge_pages) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(field::forbidden(path, "HugePages require cpu or memory"));
    }
}

fn at_most(errors: &mut ErrorList, name: &str, (request, limit): (&Value, &Value), path: &Path) {
    let (Some(amount), Some(most)) = (quantity::read(request), quantity::read(limit)) else {
        return;
    };
    let word = if !is_overcommit_allowed(name) && amount != most {
        "equal to"
    } else if amount > most {
        "less than or equal to"
    } else {
        return;
    };
    let detail = format!("must be {word} {name} limit of {most}");
    errors.push(field::invalid(path, request, detail));
}

/// What the containers ask for is part of what the pod asks for (`validatePodResourceConsistency`).
fn consistency(errors: &mut ErrorList, spec: &Value, own: &Value, path: &Path) {
    let sums = PodSpec::resources_from_value(spec);
    for (list, sum) in [
        ("requests", sums.container_requests()),
        ("limits", sums.container_limits()),
    ] {
        within(errors, sum, (own, list), path);
    }
    for (index, container) in tree::list(spec, "containers").iter().enumerate() {
        for (name, limit) in tree::map(container, "resources.limits") {
            let most = tree::map(own, "limits").get(name).and_then(quantity::read);
            let amount = quantity::read(limit);
            let (Some(most), Some(amount)) = (most, amount) else {
                continue;
            };
            if amount > most {
                let at = path.child("containers").index(index).key(name);
                let detail = format!("must be less than or equal to pod limits of {most}");
                errors.push(field::invalid(&at.child("limits"), limit, detail));
            }
        }
    }
}

/// Sums of the containers that are above the pod's own amounts; of limits, those of huge pages count.
fn within(errors: &mut ErrorList, sum: ResourceList, (own, list): (&Value, &str), path: &Path) {
    for (name, amount) in sum {
        let Some(given) = tree::map(own, list).get(&name) else {
            continue;
        };
        let counts = list == "requests" || is_huge_pages(&name);
        let is_above = quantity::read(given).is_some_and(|most| amount > most);
        if counts && is_above {
            let detail =
                format!("must be greater than or equal to aggregate container {list} of {amount}");
            errors.push(field::invalid(&path.child(list).key(&name), given, detail));
        }
    }
}

/// Validates one amount: a quantity, not negative, whole for what is counted
/// (`ValidateResourceQuantityValue`).
pub(crate) fn amount_of(errors: &mut ErrorList, name: &str, amount: &Value, path: &Path) {
    let Some(quantity) = quantity::read(amount) else {
        errors.push(field::invalid(path, amount, NO_QUANTITY));
        return;
    };
    if quantity.is_negative() {
        errors.push(field::invalid(path, amount, NOT_NEGATIVE));
    }
    if is_integer(name) && quantity.milli() % 1000 != 0 {
        errors.push(field::invalid(path, amount, "must be an integer"));
    }
}

/// An amount that is not below zero, rounded to whole units (`validateBasicResource`).
pub(crate) fn basic_amount(errors: &mut ErrorList, amount: &Value, path: &Path) {
    let Some(quantity) = quantity::read(amount) else {
        errors.push(field::invalid(path, amount, NO_QUANTITY));
        return;
    };
    if quantity.value() < 0 {
        let detail = "must be a valid resource quantity";
        errors.push(field::invalid(path, quantity.value(), detail));
    }
}

/// An amount above zero (`ValidatePositiveQuantityValue`).
pub(crate) fn positive(errors: &mut ErrorList, amount: &Value, path: &Path) {
    let quantity = quantity::read(amount);
    if quantity.is_none_or(|quantity| quantity <= Quantity::ZERO) {
        errors.push(field::invalid(path, amount, "must be greater than zero"));
    }
}
