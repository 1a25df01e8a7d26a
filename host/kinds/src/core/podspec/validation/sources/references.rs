//! Secrets that a source names: of a pod in the pod's namespace, of a persistent volume with a namespace.

use k3s_meta::field::{ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::Owner;
use crate::checks::{self, Check};

/// Validates that the reference `name` of a source is complete.
pub(super) fn secret(
    errors: &mut ErrorList,
    source: &Value,
    name: &str,
    path: &Path,
    owner: Owner<'_>,
) {
    let Some(reference) = tree::get(source, name) else {
        return;
    };
    let at = path.child(name);
    checks::required(errors, reference, "name", &at, "");
    if !owner.is_pod() {
        checks::required(errors, reference, "namespace", &at, "");
    }
}

/// Validates a reference of a persistent volume by its form as well (`validatePVSecretReference`).
pub(super) fn strict_secret(errors: &mut ErrorList, source: &Value, name: &str, path: &Path) {
    let Some(reference) = tree::get(source, name) else {
        return;
    };
    let at = path.child(name);
    if checks::required(errors, reference, "name", &at, "") {
        let name = tree::text(reference, "name");
        errors.check(&at.child("name"), name, names::is_dns1123_subdomain(name));
    }
    if checks::required(errors, reference, "namespace", &at, "") {
        let namespace = tree::text(reference, "namespace");
        let outcome = names::is_dns1123_label(namespace);
        errors.check(&at.child("namespace"), namespace, outcome);
    }
}
