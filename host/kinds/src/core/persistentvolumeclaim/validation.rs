//! Validation of persistent volume claims.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check};
use crate::core::pod::diff;
use crate::equality::semantic_eq;
use crate::quantity;

/// Access modes, in the order in which messages name them.
pub(crate) const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

pub(crate) fn validate(claim: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    spec(
        &mut errors,
        tree::get(claim, "spec").unwrap_or(&Value::Null),
        &Path::new("spec"),
    );
    errors
}

/// Validates the spec of a claim or of a template of one.
pub(crate) fn spec(errors: &mut ErrorList, spec: &Value, path: &Path) {
    if !tree::has(spec, "accessModes") {
        errors.push(field::required(
            &path.child("accessModes"),
            "at least 1 access mode is required",
        ));
    }
    access_modes(errors, spec, path);
    if let Some(selector) = tree::get(spec, "selector") {
        errors.append(checks::label_selector(selector, &path.child("selector")));
    }
    let at = path.child("resources").key("storage");
    match tree::get(spec, "resources.requests.storage") {
        None => errors.push(field::required(&at, "")),
        Some(amount) => match quantity::read(amount) {
            Some(quantity) if quantity.milli() > 0 => {}
            _ => errors.push(field::invalid(&at, amount, "must be greater than zero")),
        },
    }
    let class = tree::text(spec, "storageClassName");
    if !class.is_empty() {
        errors.check(
            &path.child("storageClassName"),
            class,
            names::is_dns1123_subdomain(class),
        );
    }
    checks::one_of(errors, spec, "volumeMode", path, &["Block", "Filesystem"]);
    for name in ["dataSource", "dataSourceRef"] {
        let Some(source) = tree::get(spec, name) else {
            continue;
        };
        for part in ["name", "kind"] {
            checks::required(errors, source, part, &path.child(name), "");
        }
        if !tree::has(source, "apiGroup") && tree::text(source, "kind") != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(field::invalid(
                &path.child(name),
                tree::text(source, "kind"),
                detail,
            ));
        }
    }
}

/// Validates access modes of a claim or a volume.
pub(crate) fn access_modes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let modes = tree::texts(spec, "accessModes");
    for mode in &modes {
        if !ACCESS_MODES.contains(mode) {
            errors.push(field::not_supported(
                &path.child("accessModes"),
                *mode,
                &ACCESS_MODES,
            ));
        }
    }
    if modes.contains(&"ReadWriteOncePod") && modes.len() > 1 {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(field::forbidden(&path.child("accessModes"), detail));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    let path = Path::new("spec");
    let mut expected = old.get("spec").cloned().unwrap_or_default();
    let source = new.get("spec").unwrap_or(&Value::Null);
    // The binder fills these in, once.
    for name in ["volumeName", "storageClassName"] {
        if !tree::has(&expected, name) {
            tree::copy(&mut expected, source, name);
        }
    }
    let bound = tree::text(old, "status.phase") == "Bound";
    if bound {
        tree::copy(&mut expected, source, "resources.requests");
    }
    tree::copy(&mut expected, source, "volumeAttributesClassName");
    if !semantic_eq(Some(&expected), new.get("spec")) {
        let changes = diff::lines(Some(&expected), new.get("spec"));
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changes}"
        );
        errors.push(field::forbidden(&path, detail));
    }
    let amount = |claim: &Value, at: &str| tree::get(claim, at).and_then(quantity::read);
    let (request, capacity) = (
        amount(new, "spec.resources.requests.storage"),
        amount(old, "status.capacity.storage"),
    );
    let before = amount(old, "spec.resources.requests.storage");
    if let (Some(request), Some(capacity), Some(before)) = (request, capacity, before)
        && request < before
        && request <= capacity
    {
        let detail = "field can not be less than status.capacity";
        errors.push(field::forbidden(
            &path.child("resources.requests.storage"),
            detail,
        ));
    }
    errors
}

pub(super) fn warnings(claim: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let key = "volume.beta.kubernetes.io/storage-class";
    if tree::map(claim, "metadata.annotations").contains_key(key) {
        warnings.push(format!(
            "metadata.annotations[{key}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
        ));
    }
    for list in ["requests", "limits"] {
        let amount = tree::get(claim, &format!("spec.resources.{list}.storage"));
        let Some(amount) = amount.and_then(Value::as_str) else {
            continue;
        };
        let quantity = quantity::read(&Value::from(amount));
        if quantity.is_some_and(|quantity| quantity.milli() % 1000 != 0) {
            warnings.push(format!(
                "spec.resources.{list}[storage]: fractional byte value {amount:?} is invalid, must be an integer"
            ));
        }
    }
    warnings
}
