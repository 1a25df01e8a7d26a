//! Names of resources, and where each may stand (`pkg/apis/core/helper`).

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::names;
use k3s_objects::resources::is_pod_level_resource;

use crate::checks::Check;

/// What containers have.
const OF_CONTAINERS: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
/// What is measured without being a container's.
const OF_OTHERS: [&str; 8] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
    "storage",
];
/// What is counted.
const COUNTED: [&str; 9] = [
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];

/// Validates a name that may be that of any resource (`validateResourceName`).
pub(crate) fn any_name(errors: &mut ErrorList, name: &str, path: &Path) {
    let outcome = names::is_qualified_name(name);
    if outcome.is_ok() && !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(field::invalid(path, name, detail));
    }
    errors.check(path, name, outcome);
}

/// Validates the name of a resource that a container has.
pub(crate) fn container_name(errors: &mut ErrorList, name: &str, path: &Path) {
    any_name(errors, name, path);
    let detail = if !name.contains('/') {
        if is_of_containers(name) {
            return;
        }
        "must be a standard resource for containers"
    } else if !is_native(name) && !is_extended(name) {
        "doesn't follow extended resource name standard"
    } else {
        return;
    };
    errors.push(field::invalid(path, name, detail));
}

/// Validates the name of a resource that a pod as a whole has.
pub(super) fn pod_name(errors: &mut ErrorList, name: &str, path: &Path) {
    let before = errors.len();
    any_name(errors, name, path);
    if errors.len() == before && !is_pod_level_resource(name) {
        let supported = ["cpu", "hugepages-", "memory"];
        errors.push(field::not_supported(path, name, &supported));
    }
}

/// Validates the name of a resource that a quota bounds (`ValidateResourceQuotaResourceName`).
pub(crate) fn quota_name(errors: &mut ErrorList, name: &str, path: &Path) {
    any_name(errors, name, path);
    if !name.contains('/') && !is_of_quotas(name) {
        let detail = "must be a standard resource for quota";
        errors.push(field::invalid(path, name, detail));
    }
}

fn is_standard(name: &str) -> bool {
    is_of_quotas(name) || name == "storage"
}

/// Whether a quota can bound the resource, one without a domain.
pub(crate) fn is_of_quotas(name: &str) -> bool {
    let measured = OF_OTHERS.contains(&name) && name != "storage";
    measured
        || OF_CONTAINERS.contains(&name)
        || COUNTED.contains(&name)
        || is_huge_pages(name)
        || name.starts_with("requests.hugepages-")
}

fn is_of_containers(name: &str) -> bool {
    OF_CONTAINERS.contains(&name) || is_huge_pages(name)
}

pub(super) fn is_huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether the resource is one of the system's own.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// `helper.IsExtendedResourceName`
pub(crate) fn is_extended(name: &str) -> bool {
    let quota = format!("requests.{name}");
    !is_native(name) && !name.starts_with("requests.") && names::is_qualified_name(&quota).is_ok()
}

/// Whether amounts of the resource are whole numbers.
pub(super) fn is_integer(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_against_the_place_where_it_stands() {
        let standard = "must be a standard resource type or fully qualified";
        let container = "must be a standard resource for containers";
        let quota = "must be a standard resource for quota";
        let extended = "doesn't follow extended resource name standard";
        type Rule = fn(&mut ErrorList, &str, &Path);
        let rules: [Rule; 4] = [any_name, container_name, pod_name, quota_name];
        for (name, expected) in [
            ("cpu", [vec![], vec![], vec![], vec![]]),
            ("hugepages-2Mi", [vec![], vec![], vec![], vec![]]),
            (
                "pods",
                [
                    vec![],
                    vec![container],
                    vec!["supported values: \"cpu\", \"hugepages-\", \"memory\""],
                    vec![],
                ],
            ),
            (
                "storage",
                [
                    vec![],
                    vec![container],
                    vec!["supported values: \"cpu\", \"hugepages-\", \"memory\""],
                    vec![quota],
                ],
            ),
            (
                "odd",
                [
                    vec![standard],
                    vec![standard, container],
                    vec![standard],
                    vec![standard, quota],
                ],
            ),
            (
                "example.com/gpu",
                [
                    vec![],
                    vec![],
                    vec!["supported values: \"cpu\", \"hugepages-\", \"memory\""],
                    vec![],
                ],
            ),
            (
                "requests.example.com/gpu",
                [
                    vec![],
                    vec![extended],
                    vec!["supported values: \"cpu\", \"hugepages-\", \"memory\""],
                    vec![],
                ],
            ),
        ] {
            for (rule, expected) in rules.iter().zip(expected) {
                let mut errors = ErrorList::new();
                rule(&mut errors, name, &Path::new("r"));
                let found: Vec<&str> = errors.iter().map(|it| it.detail.as_str()).collect();
                assert_eq!(found, expected, "{name}");
            }
        }
    }
}
