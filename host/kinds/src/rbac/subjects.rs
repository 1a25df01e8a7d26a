//! References of role bindings.

use serde_json::Value;

use crate::tree;

/// Group of roles, users and groups.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// Groups that follow from the kind a reference names.
pub(super) fn default(binding: &mut Value) {
    tree::set_zero(binding, "roleRef.apiGroup", GROUP);
    for subject in tree::each_mut(binding, "subjects") {
        if matches!(tree::text(subject, "kind"), "User" | "Group") {
            tree::set_zero(subject, "apiGroup", GROUP);
        }
    }
}

/// `Kind/name` of the role.
pub(super) fn role(binding: &Value) -> String {
    format!("{}/{}", tree::text(binding, "roleRef.kind"), tree::text(binding, "roleRef.name"))
}

/// Names of the subjects of one kind, with their namespace for service accounts.
pub(super) fn names(binding: &Value, kind: &str) -> String {
    let subjects = tree::list(binding, "subjects").iter().filter(|subject| tree::text(subject, "kind") == kind);
    let names = subjects.map(|subject| match (kind, tree::text(subject, "namespace"), tree::text(subject, "name")) {
        ("ServiceAccount", namespace, name) if !namespace.is_empty() => format!("{namespace}/{name}"),
        (_, _, name) => name.to_owned(),
    });
    names.collect::<Vec<_>>().join(", ")
}
