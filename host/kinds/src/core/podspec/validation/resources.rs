//! Requests and limits.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names;
use k3s_meta::{Quantity, tree};
use k3s_objects::resources::is_pod_level_resource;
use serde_json::Value;

use crate::checks::Check;
use crate::core::pod::resources::is_overcommit_allowed;
use crate::object_meta::NOT_NEGATIVE;
use crate::quantity;

/// Text of the error about what is no quantity.
const NO_QUANTITY: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Validates the requirements of a container at `path`.
pub(super) fn requirements(errors: &mut ErrorList, container: &Value, path: &Path) {
    let empty = Value::Null;
    let requirements = tree::get(container, "resources").unwrap_or(&empty);
    list(errors, requirements, "limits", path);
    list(errors, requirements, "requests", path);
    compare(errors, requirements, path);
    huge_pages_alone(errors, requirements, path);
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
    if has(|name| name.starts_with("hugepages-")) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(field::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// Validates requirements of the pod as a whole.
pub(super) fn pod_level(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let Some(requirements) = tree::get(spec, "resources") else {
        return;
    };
    let path = path.child("resources");
    for field in ["limits", "requests"] {
        for name in tree::map(requirements, field)
            .keys()
            .filter(|name| !is_pod_level_resource(name))
        {
            let supported = ["cpu", "hugepages-", "memory"];
            errors.push(field::not_supported(
                &path.child(field).key(name),
                name,
                &supported,
            ));
        }
        list(errors, requirements, field, &path);
    }
    compare(errors, requirements, &path);
}

/// Validates names and amounts of a resource list.
pub(crate) fn list(errors: &mut ErrorList, holder: &Value, field: &str, path: &Path) {
    for (name, amount) in tree::map(holder, field) {
        let at = path.child(field).key(name);
        resource_name(errors, name, &at);
        amount_of(errors, name, amount, &at);
    }
}

pub(crate) fn resource_name(errors: &mut ErrorList, name: &str, path: &Path) {
    let is_qualified = names::is_qualified_name(name);
    let is_well_formed = is_qualified.is_ok();
    errors.check(path, name, is_qualified);
    let of_containers =
        matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if name.contains('/') {
        if !is_native(name) && !is_extended(name) {
            let detail = "doesn't follow extended resource name standard";
            errors.push(field::invalid(path, name, detail));
        }
        return;
    }
    if is_well_formed && !of_containers && !OF_OTHERS.contains(&name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(field::invalid(path, name, detail));
    }
    if !of_containers {
        let detail = "must be a standard resource for containers";
        errors.push(field::invalid(path, name, detail));
    }
}

/// Standard resources that no container has (`helper.IsStandardResourceName`).
const OF_OTHERS: [&str; 13] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "storage",
];

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// `helper.IsExtendedResourceName`
fn is_extended(name: &str) -> bool {
    let quota = format!("requests.{name}");
    !is_native(name) && !name.starts_with("requests.") && names::is_qualified_name(&quota).is_ok()
}

/// Validates one amount: a quantity, not negative, whole for what is counted.
pub(crate) fn amount_of(errors: &mut ErrorList, name: &str, amount: &Value, path: &Path) {
    let Some(quantity) = quantity::read(amount) else {
        errors.push(field::invalid(path, amount, NO_QUANTITY));
        return;
    };
    if quantity.milli() < 0 {
        errors.push(field::invalid(path, amount, NOT_NEGATIVE));
    }
    let counted = name.contains('/') && !name.contains("kubernetes.io/");
    if counted && quantity.milli() % 1000 != 0 {
        errors.push(field::invalid(path, amount, "must be an integer"));
    }
}

fn compare(errors: &mut ErrorList, requirements: &Value, path: &Path) {
    let (requests, limits) = (path.child("requests"), path.child("limits"));
    for (name, request) in tree::map(requirements, "requests") {
        let Some(amount) = quantity::read(request) else {
            continue;
        };
        let limit = tree::map(requirements, "limits")
            .get(name)
            .and_then(|limit| Some((limit, quantity::read(limit)?)));
        let Some((text, limit)) = limit else {
            if !is_overcommit_allowed(name) {
                errors.push(field::required(
                    &limits,
                    "Limit must be set for non overcommitable resources",
                ));
            }
            continue;
        };
        if let Some(word) = mismatch(name, &amount, &limit) {
            let text = text.as_str().unwrap_or_default();
            errors.push(field::invalid(
                &requests,
                request,
                format!("must be {word} {name} limit of {text}"),
            ));
        }
    }
}

fn mismatch(name: &str, request: &Quantity, limit: &Quantity) -> Option<&'static str> {
    if !is_overcommit_allowed(name) && request != limit {
        Some("equal to")
    } else if request > limit {
        Some("less than or equal to")
    } else {
        None
    }
}
