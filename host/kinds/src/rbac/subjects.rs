//! References of role bindings.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::equality::semantic_eq;

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
    format!(
        "{}/{}",
        tree::text(binding, "roleRef.kind"),
        tree::text(binding, "roleRef.name")
    )
}

/// Names of the subjects of one kind, with their namespace for service accounts.
pub(super) fn names(binding: &Value, kind: &str) -> String {
    let subjects = tree::list(binding, "subjects")
        .iter()
        .filter(|subject| tree::text(subject, "kind") == kind);
    let names = subjects.map(|subject| {
        match (
            kind,
            tree::text(subject, "namespace"),
            tree::text(subject, "name"),
        ) {
            ("ServiceAccount", namespace, name) if !namespace.is_empty() => {
                format!("{namespace}/{name}")
            }
            (_, _, name) => name.to_owned(),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Validates the role a binding names and whom it binds. A service account without a namespace is one of the
/// binding's own namespace.
pub(super) fn validate(binding: &Value, kinds: &[&str], namespaced: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("roleRef");
    let role = tree::get(binding, "roleRef").unwrap_or(&Value::Null);
    let group = tree::text(role, "apiGroup");
    if group != GROUP {
        errors.push(field::not_supported(
            &path.child("apiGroup"),
            group,
            &[GROUP],
        ));
    }
    let kind = tree::text(role, "kind");
    if !kinds.contains(&kind) {
        errors.push(field::not_supported(&path.child("kind"), kind, kinds));
    }
    let name = tree::text(role, "name");
    if name.is_empty() {
        errors.push(field::required(&path.child("name"), ""));
    } else {
        errors.check(&path.child("name"), name, names::is_path_segment(name));
    }
    for (index, subject) in tree::list(binding, "subjects").iter().enumerate() {
        let at = Path::new("subjects").index(index);
        self::subject(&mut errors, subject, namespaced, &at);
    }
    errors
}

fn subject(errors: &mut ErrorList, subject: &Value, namespaced: bool, path: &Path) {
    let [kind, name, group] = ["kind", "name", "apiGroup"].map(|part| tree::text(subject, part));
    if name.is_empty() {
        errors.push(field::required(&path.child("name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                errors.check(&path.child("name"), name, names::is_dns1123_subdomain(name));
            }
            if !group.is_empty() {
                errors.push(field::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if !namespaced && tree::text(subject, "namespace").is_empty() {
                errors.push(field::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(field::not_supported(
                    &path.child("apiGroup"),
                    group,
                    &[GROUP],
                ));
            }
        }
        _ => errors.push(field::not_supported(
            &path.child("kind"),
            kind,
            &["ServiceAccount", "User", "Group"],
        )),
    }
}

/// A binding keeps its role; whom it binds may change.
pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let (after, before) = (tree::get(new, "roleRef"), tree::get(old, "roleRef"));
    if semantic_eq(after, before) {
        return ErrorList::new();
    }
    field::invalid(&Path::new("roleRef"), after, "cannot change roleRef").into()
}
