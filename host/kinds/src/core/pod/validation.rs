//! Validation of pods beyond their spec, and of what may change in one.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::diff;
use crate::checks::Check;
use crate::core::podspec::validation::{self, annotations};
use crate::core::podspec::warnings as spec_warnings;
use crate::equality::semantic_eq;

/// Fields of a pod's spec that an update may change, as the message names them.
const OPEN_FIELDS: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

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
    errors.append(validation::pod_spec(spec, &path, tree::text(meta, "name")));
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

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = validate_spec(new);
    for (list, detail) in [
        ("containers", "pod updates may not add or remove containers"),
        (
            "initContainers",
            "pod updates may not add or remove containers",
        ),
    ] {
        let at = format!("spec.{list}");
        if tree::list(new, &at).len() != tree::list(old, &at).len() {
            errors.push(field::forbidden(&path.child(list), detail));
            return errors;
        }
    }
    deadline(&mut errors, new, old, &path.child("activeDeadlineSeconds"));
    gates(&mut errors, new, old, &path.child("schedulingGates"));
    tolerations(&mut errors, new, old, &path.child("tolerations"));
    let expected = allowed(new, old);
    let (found, expected) = (new.get("spec"), Some(&expected));
    if !semantic_eq(found, expected) {
        let changes = diff::lines(expected, found);
        let detail =
            format!("pod updates may not change fields other than {OPEN_FIELDS}\n{changes}");
        errors.push(field::forbidden(&path, detail));
    }
    errors
}

/// The old spec with everything taken from the new one that may change.
fn allowed(new: &Value, old: &Value) -> Value {
    let mut spec = old.get("spec").cloned().unwrap_or_default();
    for list in ["containers", "initContainers"] {
        let wanted = tree::list(new, &format!("spec.{list}"));
        for (container, wanted) in tree::each_mut(&mut spec, list).zip(wanted) {
            tree::copy(container, wanted, "image");
        }
    }
    let source = new.get("spec").unwrap_or(&Value::Null);
    tree::copy(&mut spec, source, "activeDeadlineSeconds");
    tree::copy(&mut spec, source, "tolerations");
    tree::copy(&mut spec, source, "schedulingGates");
    let grace = "terminationGracePeriodSeconds";
    if tree::int(&spec, grace).is_some_and(|old| old < 0) && tree::int(source, grace) == Some(1) {
        tree::set(&mut spec, grace, 1);
    }
    if tree::has(old, "spec.schedulingGates") {
        // While scheduling waits, its inputs may be narrowed.
        tree::copy(&mut spec, source, "nodeSelector");
        tree::copy(&mut spec, source, "affinity.nodeAffinity");
        if tree::get(source, "affinity").is_none() {
            tree::remove(&mut spec, "affinity");
        }
    }
    spec
}

fn deadline(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let [new, old] = [new, old].map(|pod| tree::int(pod, "spec.activeDeadlineSeconds"));
    match (new, old) {
        (Some(new), Some(old)) if new > old => {
            errors.push(field::invalid(
                path,
                new,
                "must be less than or equal to previous value",
            ));
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(field::invalid(path, &Value::Null, detail));
        }
        _ => {}
    }
}

fn gates(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let before: Vec<&str> = tree::list(old, "spec.schedulingGates")
        .iter()
        .map(|gate| tree::text(gate, "name"))
        .collect();
    for (index, gate) in tree::list(new, "spec.schedulingGates").iter().enumerate() {
        let name = tree::text(gate, "name");
        if !before.contains(&name) {
            let detail =
                format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(field::forbidden(&path.index(index).child("name"), detail));
        }
    }
}

/// Tolerations may be added; of an old one only the seconds may change.
fn tolerations(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let same = |left: &Value, right: &Value| {
        ["key", "operator", "value", "effect"]
            .iter()
            .all(|part| tree::text(left, part) == tree::text(right, part))
    };
    let wanted = tree::list(new, "spec.tolerations");
    let kept = tree::list(old, "spec.tolerations")
        .iter()
        .all(|old| wanted.iter().any(|new| same(new, old)));
    if !kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(field::forbidden(path, detail));
    }
}

pub(super) fn validate_status_update(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let nominated = tree::text(new, "status.nominatedNodeName");
    if !nominated.is_empty() {
        errors.check(
            &path.child("nominatedNodeName"),
            nominated,
            names::is_dns1123_subdomain(nominated),
        );
    }
    let class = (
        tree::text(new, "status.qosClass"),
        tree::text(old, "status.qosClass"),
    );
    if !class.1.is_empty() && class.0 != class.1 {
        errors.push(field::immutable(&path.child("qosClass"), class.0));
    }
    for (index, condition) in tree::list(new, "status.conditions").iter().enumerate() {
        let kind = tree::text(condition, "type");
        errors.check(
            &path.child("conditions").index(index).child("type"),
            kind,
            names::is_qualified_name(kind),
        );
    }
    restarts(&mut errors, new, old, &path);
    errors
}

/// A container that ended for good does not run again.
fn restarts(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let policy = tree::text(old, "spec.restartPolicy");
    if policy == "Always" {
        return;
    }
    for before in tree::list(old, "status.containerStatuses") {
        let Some(ended) = tree::get(before, "state.terminated") else {
            continue;
        };
        if policy == "OnFailure" && tree::int(ended, "exitCode").unwrap_or(0) != 0 {
            continue;
        }
        for (index, after) in tree::list(new, "status.containerStatuses")
            .iter()
            .enumerate()
        {
            let same = tree::text(after, "name") == tree::text(before, "name");
            if same && tree::get(after, "state.terminated").is_none() {
                let at = path.child("containerStatuses").index(index).child("state");
                errors.push(field::forbidden(
                    &at,
                    "may not be transitioned to non-terminated state",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::pod::defaults;

    fn pod() -> Value {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "a", "containers": [{"name": "c", "image": "i:1"}]}});
        defaults::default(&mut pod);
        pod
    }

    #[test]
    fn images_may_change_and_nothing_else() {
        let old = pod();
        let mut new = pod();
        tree::set(
            &mut new,
            "spec.containers",
            json!([{"name": "c", "image": "i:2"}]),
        );
        defaults::default(&mut new);
        assert!(validate_update(&new, &old).is_empty());
        tree::set(&mut new, "spec.nodeName", "b");
        assert_eq!(
            validate_update(&new, &old).to_string(),
            "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n- nodeName: \"a\"\n+ nodeName: \"b\""
        );
    }

    #[test]
    fn containers_are_neither_added_nor_removed() {
        let mut new = pod();
        tree::set(
            &mut new,
            "spec.containers",
            json!([{"name": "c", "image": "i:1"}, {"name": "d", "image": "i:1"}]),
        );
        defaults::default(&mut new);
        assert_eq!(
            validate_update(&new, &pod()).to_string(),
            "spec.containers: Forbidden: pod updates may not add or remove containers"
        );
    }
}
