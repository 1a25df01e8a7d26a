//! Validation of pods beyond their spec.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::core::podspec::validation::{self, annotations};
use crate::core::podspec::warnings as spec_warnings;

pub(super) fn validate(pod: &Value) -> ErrorList {
    let mut errors = validate_spec(pod);
    let path = Path::new("spec");
    let [meta, spec] = ["metadata", "spec"].map(|part| pod.get(part).unwrap_or(&Value::Null));
    annotations::profiles_match(&mut errors, meta, spec, &path);
    if tree::has(pod, "spec.ephemeralContainers") {
        errors.push(field::forbidden(
            &path.child("ephemeralContainers"),
            "cannot be set on create",
        ));
    }
    if tree::has(pod, "spec.nodeName") && tree::has(pod, "spec.schedulingGates") {
        errors.push(field::forbidden(
            &path.child("nodeName"),
            "cannot be set until all schedulingGates have been cleared",
        ));
    }
    errors
}

/// What holds for a pod at all times.
pub(super) fn validate_spec(pod: &Value) -> ErrorList {
    let path = Path::new("spec");
    let [meta, spec] = ["metadata", "spec"].map(|part| pod.get(part).unwrap_or(&Value::Null));
    let mut errors = ErrorList::new();
    let at = Path::new("metadata.annotations");
    annotations::validate(&mut errors, meta, spec, &at);
    errors.append(validation::pod_spec(spec, &path, meta));
    if !tree::has(spec, "serviceAccountName") {
        tokens_without_account(&mut errors, spec, &path.child("volumes"));
    }
    validation::containers::of_pod(&mut errors, spec, &path);
    errors
}

/// A token is that of the pod's service account.
fn tokens_without_account(errors: &mut ErrorList, spec: &Value, path: &Path) {
    for (index, volume) in tree::list(spec, "volumes").iter().enumerate() {
        let at = path.index(index).child("projected.sources");
        let sources = tree::list(volume, "projected.sources");
        for (number, source) in sources.iter().enumerate() {
            if tree::get(source, "serviceAccountToken").is_some() {
                let at = at.index(number).child("serviceAccountToken");
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(field::forbidden(&at, detail));
            }
        }
    }
}

pub(super) fn warnings(pod: &Value) -> Vec<String> {
    let mut warnings = spec_warnings::name(pod, "the Pod's hostname");
    warnings.extend(spec_warnings::pod(pod));
    warnings
}
