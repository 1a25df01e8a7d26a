//! Validation of what may change in a pod (`ValidatePodUpdate`).

use std::collections::BTreeMap;

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use super::{diff, gated, validation};
use crate::checks::Check;
use crate::core::podspec::validation::{annotations, containers, scheduling};
use crate::equality::same;

/// Fields of a pod's spec that an update may change, as the message names them.
const OPEN_FIELDS: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

const LONGEST_SECONDS: i64 = i32::MAX as i64;

pub(super) fn validate(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = validation::validate_spec(new);
    let at = Path::new("metadata.annotations");
    annotations::validate_update(&mut errors, new, old, &at);
    for list in ["containers", "initContainers"] {
        let [after, before] = [new, old].map(|pod| tree::list(pod, &format!("spec.{list}")));
        if after.len() != before.len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(field::forbidden(&path.child(list), detail));
            return errors;
        }
        for (index, container) in after.iter().enumerate() {
            containers::image(&mut errors, container, &path.child(list).index(index));
        }
    }
    if !deadline(&mut errors, new, old, &path.child("activeDeadlineSeconds")) {
        return errors;
    }
    tolerations(&mut errors, new, old, &path.child("tolerations"));
    gates(&mut errors, new, old, &path.child("schedulingGates"));
    rest(&mut errors, new, old, &path);
    errors
}

/// Everything that no rule opens stays.
fn rest(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let (found, stored) = (new.get("spec"), old.get("spec"));
    if same(found, stored) {
        return;
    }
    let mut expected = allowed(new, old);
    if tree::has(old, "spec.schedulingGates") {
        gated::allow(errors, &mut expected, new, old, path);
    }
    if !same(found, Some(&expected)) {
        let changes = diff::lines(Some(&expected), found);
        let detail =
            format!("pod updates may not change fields other than {OPEN_FIELDS}\n{changes}");
        errors.push(field::forbidden(path, detail));
    }
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
    spec
}

/// The deadline comes nearer and stays. Upstream looks at nothing else after a wrong one: false says so.
fn deadline(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) -> bool {
    let [new, old] = [new, old].map(|pod| tree::int(pod, "spec.activeDeadlineSeconds"));
    let Some(new) = new else {
        if old.is_some() {
            let detail = "must not update from a positive integer to nil value";
            errors.push(field::invalid(path, &Value::Null, detail));
        }
        return true;
    };
    let range = names::in_range(new, 0, LONGEST_SECONDS);
    if range.is_err() {
        errors.check(path, new, range);
        return false;
    }
    let is_later = old.is_some_and(|old| new > old);
    if is_later {
        let detail = "must be less than or equal to previous value";
        errors.push(field::invalid(path, new, detail));
    }
    !is_later
}

/// Gates may go.
fn gates(errors: &mut ErrorList, new: &Value, old: &Value, path: &Path) {
    let names = |pod| {
        let gates = tree::list(pod, "spec.schedulingGates").iter();
        gates.map(|gate| tree::text(gate, "name"))
    };
    let mut added: BTreeMap<&str, usize> = names(new).zip(0..).collect();
    for name in names(old) {
        added.remove(name);
    }
    for (name, index) in added {
        let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
        let at = path.index(index).child("name");
        errors.push(field::forbidden(&at, detail));
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
    if kept {
        let spec = new.get("spec").unwrap_or(&Value::Null);
        scheduling::tolerations(errors, spec, path);
    } else {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(field::forbidden(path, detail));
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
        assert!(validate(&new, &old).is_empty());
        tree::set(&mut new, "spec.nodeName", "b");
        assert_eq!(
            validate(&new, &old).to_string(),
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
            validate(&new, &pod()).to_string(),
            "spec.containers: Forbidden: pod updates may not add or remove containers"
        );
    }

    fn with(path: &str, value: Value) -> Value {
        let mut pod = pod();
        tree::set(&mut pod, path, value);
        pod
    }

    #[test]
    fn deadlines_come_nearer_and_gates_go() {
        let at = "spec.activeDeadlineSeconds";
        for (old, new, text) in [
            (with(at, json!(9)), with(at, json!(8)), "[]"),
            (
                with(at, json!(8)),
                with(at, json!(9)),
                "spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value",
            ),
            (
                with("spec.schedulingGates", json!([{"name": "a"}])),
                with("spec.schedulingGates", json!([{"name": "b"}])),
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'",
            ),
            (
                with("spec.tolerations", json!([{"key": "a"}])),
                with(
                    "spec.tolerations",
                    json!([{"key": "a", "effect": "NoExecute"}]),
                ),
                "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds",
            ),
        ] {
            assert_eq!(validate(&new, &old).to_string(), text);
        }
    }

    #[test]
    fn an_empty_object_is_a_change() {
        let volume = |source: Value| with("spec.volumes", json!([{"name": "v", "csi": source}]));
        let old = volume(json!({"driver": "d"}));
        let new = volume(json!({"driver": "d", "nodePublishSecretRef": {}}));
        let errors = validate(&new, &old).to_string();
        assert!(errors.contains("spec: Forbidden: pod updates"), "{errors}");
        assert!(
            errors.contains("+ volumes[0].csi.nodePublishSecretRef: {}"),
            "{errors}"
        );
    }

    #[test]
    fn where_a_gated_pod_may_run_becomes_narrower() {
        let term = |keys: &[&str]| {
            let terms = keys
                .iter()
                .map(|key| json!({"key": key, "operator": "Exists"}));
            json!({"matchExpressions": terms.collect::<Vec<_>>()})
        };
        let gated = |selector: Value, terms: Value| {
            let mut pod = pod();
            tree::remove(&mut pod, "spec.nodeName");
            tree::set(&mut pod, "spec.schedulingGates", json!([{"name": "g"}]));
            tree::set(&mut pod, "spec.nodeSelector", selector);
            let at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
            tree::set(&mut pod, at, json!({"nodeSelectorTerms": terms}));
            pod
        };
        let old = gated(json!({"a": "b"}), json!([term(&["x"])]));
        let at = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
        for (new, text) in [
            (
                gated(json!({"a": "b", "c": "d"}), json!([term(&["x", "y"])])),
                "[]".to_owned(),
            ),
            (
                gated(json!({"a": "c"}), json!([term(&["x"])])),
                "spec.nodeSelector: Invalid value: {\"a\":\"c\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)".to_owned(),
            ),
            (
                gated(json!({"a": "b"}), json!([term(&["y"])])),
                format!("{at}[0]: Invalid value: {}: only additions are allowed (no mutations or deletions)", term(&["y"])),
            ),
            (
                gated(json!({"a": "b"}), json!([term(&["x"]), term(&["y"])])),
                format!("{at}: Invalid value: {}: no additions/deletions to non-empty NodeSelectorTerms list are allowed", json!([term(&["x"]), term(&["y"])])),
            ),
        ] {
            assert_eq!(validate(&new, &old).to_string(), text);
        }
    }
}
