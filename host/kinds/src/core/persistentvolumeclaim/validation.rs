//! Validation of persistent volume claims.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{Quantity, names, tree};
use serde_json::{Value, json};

use crate::checks::{self, Check};
use crate::core::pod::diff;
use crate::core::podspec::validation::resources::positive;
use crate::equality::same;
use crate::quantity;

/// The class of a claim before there was a field for it.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// Modes of volumes, in the order in which messages name them.
pub(crate) const VOLUME_MODES: [&str; 2] = ["Block", "Filesystem"];

/// Access modes, in the order in which messages name them.
const ACCESS_MODES: [&str; 4] = [
    "ReadOnlyMany",
    "ReadWriteMany",
    "ReadWriteOnce",
    "ReadWriteOncePod",
];

pub(crate) fn validate(claim: &Value) -> ErrorList {
    claim_errors(claim, true)
}

fn claim_errors(claim: &Value, checks_groups: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let of_claim = tree::get(claim, "spec").unwrap_or(&Value::Null);
    spec(&mut errors, of_claim, &Path::new("spec"), checks_groups);
    errors
}

/// Validates the spec of a claim or of a template of one. `checks_groups` says whether the groups of its
/// sources are held against today's rule.
pub(crate) fn spec(errors: &mut ErrorList, spec: &Value, path: &Path, checks_groups: bool) {
    if !tree::has(spec, "accessModes") {
        errors.push(field::required(
            &path.child("accessModes"),
            "at least 1 access mode is required",
        ));
    }
    if let Some(selector) = tree::get(spec, "selector") {
        errors.append(checks::label_selector(selector, &path.child("selector")));
    }
    access_modes(errors, spec, path);
    let at = path.child("resources").key("storage");
    match tree::get(spec, "resources.requests.storage") {
        None => errors.push(field::required(&at, "")),
        Some(amount) => positive(errors, amount, &at),
    }
    class(errors, spec, "storageClassName", path);
    checks::supported(errors, spec, "volumeMode", path, &VOLUME_MODES);
    for name in ["dataSource", "dataSourceRef"] {
        if let Some(source) = tree::get(spec, name) {
            data_source(errors, source, &path.child(name), checks_groups);
        }
    }
    sources_match(errors, spec, path);
    class(errors, spec, "volumeAttributesClassName", path);
}

/// The name of a class, which may be empty.
fn class(errors: &mut ErrorList, spec: &Value, name: &str, path: &Path) {
    let class = tree::text(spec, name);
    if !class.is_empty() {
        errors.check(&path.child(name), class, names::is_dns1123_subdomain(class));
    }
}

fn data_source(errors: &mut ErrorList, source: &Value, path: &Path, checks_groups: bool) {
    for part in ["name", "kind"] {
        checks::required(errors, source, part, path, "");
    }
    let [kind, group, namespace] =
        ["kind", "apiGroup", "namespace"].map(|part| tree::text(source, part));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(field::invalid(path, kind, detail));
    }
    if !group.is_empty() && checks_groups {
        let outcome = names::is_dns1123_subdomain(group);
        errors.check(&path.child("apiGroup"), group, outcome);
    }
    if !namespace.is_empty() {
        let outcome = names::is_dns1123_label(namespace);
        errors.check(&path.child("namespace"), namespace, outcome);
    }
}

/// Both fields for the source say the same. Upstream shows a path as the value, which prints as `{}`.
fn sources_match(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let (Some(source), Some(reference)) = (
        tree::get(spec, "dataSource"),
        tree::get(spec, "dataSourceRef"),
    ) else {
        return;
    };
    let shown = json!({});
    if tree::has(reference, "namespace") {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        errors.push(field::invalid(path, &shown, detail));
        return;
    }
    let same = |part: &str| tree::get(source, part) == tree::get(reference, part);
    let same_text = |part: &str| tree::text(source, part) == tree::text(reference, part);
    if !(same("apiGroup") && same_text("kind") && same_text("name")) {
        errors.push(field::invalid(path, &shown, "must match dataSourceRef"));
    }
}

/// Validates access modes of a claim or a volume.
pub(crate) fn access_modes(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let modes = tree::texts(spec, "accessModes");
    let at = path.child("accessModes");
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(mode)) {
        errors.push(field::not_supported(&at, *mode, &ACCESS_MODES));
    }
    let alone = "ReadWriteOncePod";
    let shares = |mode: &&str| *mode != alone && ACCESS_MODES.contains(mode);
    if modes.contains(&alone) && modes.iter().any(shares) {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(field::forbidden(&at, detail));
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let had_group = ["dataSource", "dataSourceRef"]
        .iter()
        .any(|name| tree::get(old, &format!("spec.{name}.apiGroup")).is_some());
    let mut errors = claim_errors(new, !had_group);
    let annotation = |claim| annotated_class(claim).unwrap_or_default();
    if !moves_class(new, old) && annotation(new) != annotation(old) {
        let at = Path::new("metadata.annotations").child(CLASS_ANNOTATION);
        errors.push(field::immutable(&at, annotation(new)));
    }
    let expected = allowed(new, old);
    if !same(Some(&expected), new.get("spec")) {
        let changes = diff::lines(Some(&expected), new.get("spec"));
        let detail = format!(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n{changes}"
        );
        errors.push(field::forbidden(&Path::new("spec"), detail));
    }
    shrinks(&mut errors, new, old);
    let mode = tree::get(new, "spec.volumeMode");
    if mode != tree::get(old, "spec.volumeMode") {
        errors.push(field::immutable(&Path::new("volumeMode"), mode));
    }
    attributes(&mut errors, new, old);
    errors
}

/// The old spec with everything taken from the new one that may change.
fn allowed(new: &Value, old: &Value) -> Value {
    let mut expected = old.get("spec").cloned().unwrap_or_default();
    let source = new.get("spec").unwrap_or(&Value::Null);
    // The binder fills this in, once.
    if !tree::has(&expected, "volumeName") {
        tree::copy(&mut expected, source, "volumeName");
    }
    if moves_class(new, old) || gets_class(new, old) {
        tree::copy(&mut expected, source, "storageClassName");
    }
    let is_bound = tree::text(old, "status.phase") == "Bound";
    if is_bound {
        tree::copy(&mut expected, source, "volumeAttributesClassName");
        if tree::get(source, "resources.requests").is_some() {
            tree::copy(&mut expected, source, "resources.requests.storage");
        }
    }
    expected
}

fn annotated_class(claim: &Value) -> Option<&str> {
    let annotations = tree::map(claim, "metadata.annotations");
    annotations.get(CLASS_ANNOTATION).and_then(Value::as_str)
}

fn named_class(claim: &Value) -> Option<&str> {
    tree::get(claim, "spec.storageClassName").and_then(Value::as_str)
}

/// Whether the class moves from its annotation to its field (`validateStorageClassUpgradeFromAnnotation`).
fn moves_class(new: &Value, old: &Value) -> bool {
    let before = annotated_class(old);
    before.is_some()
        && named_class(old).is_none()
        && named_class(new) == before
        && annotated_class(new).is_none_or(|after| Some(after) == before)
}

/// Whether a claim without a class gets one (`validateStorageClassUpgradeFromNil`).
fn gets_class(new: &Value, old: &Value) -> bool {
    let before = annotated_class(old);
    named_class(old).is_none()
        && named_class(new).is_some()
        && (before.is_none() || named_class(new) == before)
}

/// A claim may ask for less only while more than it has is on the way.
fn shrinks(errors: &mut ErrorList, new: &Value, old: &Value) {
    let amount = |claim: &Value, at: &str| {
        let found = tree::get(claim, at).and_then(quantity::read);
        found.unwrap_or(Quantity::ZERO)
    };
    let request = "spec.resources.requests.storage";
    let wanted = amount(new, request);
    if wanted < amount(old, request) && wanted <= amount(old, "status.capacity.storage") {
        let detail = "field can not be less than status.capacity";
        errors.push(field::forbidden(&Path::new(request), detail));
    }
}

/// A class of attributes that the volume has cannot be taken away.
fn attributes(errors: &mut ErrorList, new: &Value, old: &Value) {
    let name = "spec.volumeAttributesClassName";
    let wanted = tree::get(new, name).and_then(Value::as_str);
    let has_class = tree::get(old, "status.currentVolumeAttributesClassName").is_some();
    let changes = tree::get(new, name) != tree::get(old, name);
    let what = match wanted {
        None => "nil",
        Some("") => "empty string",
        Some(_) => return,
    };
    if has_class && changes {
        let detail = format!(
            "update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        );
        errors.push(field::forbidden(&Path::new(name), detail));
    }
}

pub(super) fn warnings(claim: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    if annotated_class(claim).is_some() {
        warnings.push(format!(
            "metadata.annotations[{CLASS_ANNOTATION}]: deprecated since v1.8; use \"storageClassName\" attribute instead"
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
