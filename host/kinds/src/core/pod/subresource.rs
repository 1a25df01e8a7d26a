//! `/ephemeralcontainers`: containers may be added to a running pod, never changed or removed
//! (`ValidatePodEphemeralContainersUpdate`).
//!
//! The request has a whole pod. Everything else in it is put back from the stored pod before
//! validation, so a client may send what it has read.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use k3s_objects::pod::MIRROR_ANNOTATION;
use serde_json::Value;

use super::validation;
use crate::context::Context;
use crate::core::podspec::validation::annotations;
use crate::equality::same;
use crate::generic::RESET_METADATA;
use crate::object_meta::validate_meta_update;
use crate::subresource::Subresource;

const CONTAINERS: &str = "spec.ephemeralContainers";

pub(super) const EPHEMERAL_CONTAINERS: Subresource = Subresource {
    name: "ephemeralcontainers",
    prepare,
    validate: Some(validate),
    new_generation: true,
};

fn prepare(new: &mut Value, old: &Value, _: &Context<'_>) {
    let wanted = tree::get(new, CONTAINERS).cloned();
    tree::copy(new, old, "spec");
    tree::copy(new, old, "status");
    if let Some(wanted) = wanted {
        tree::set(new, CONTAINERS, wanted);
    }
    for key in RESET_METADATA {
        tree::copy(new, old, &format!("metadata.{key}"));
    }
}

fn validate(new: &Value, old: &Value) -> ErrorList {
    if tree::map(old, "metadata.annotations").contains_key(MIRROR_ANNOTATION) {
        let detail = "static pods do not support ephemeral containers";
        // Upstream names no field here, which prints as an empty index.
        return field::forbidden(&Path::new("[]"), detail).into();
    }
    let mut errors = validate_meta_update(new, old, true);
    errors.append(validation::validate_spec(new));
    let at = Path::new("metadata.annotations");
    annotations::validate_update(&mut errors, new, old, &at);
    let path = Path::new("spec").child("ephemeralContainers");
    for before in tree::list(old, CONTAINERS) {
        let name = tree::text(before, "name");
        let after = tree::list(new, CONTAINERS)
            .iter()
            .find(|after| tree::text(after, "name") == name);
        let refusal = match after {
            None => "removed",
            Some(after) if !same(Some(after), Some(before)) => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers {name:?} may not be {refusal}\n");
        errors.push(field::forbidden(&path, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(ephemeral: Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "default", "resourceVersion": "1"},
            "spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}],
                "ephemeralContainers": ephemeral},
        })
    }

    #[test]
    fn ephemeral_containers_are_only_added() {
        let old = pod(json!([{"name": "a", "image": "i"}]));
        let added = pod(json!([{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]));
        assert!(validate(&added, &old).is_empty());
        let path = "spec.ephemeralContainers: Forbidden: existing ephemeral containers";
        assert_eq!(
            validate(&pod(json!([])), &old).to_string(),
            format!("{path} \"a\" may not be removed\n")
        );
        assert_eq!(
            validate(&pod(json!([{"name": "a", "image": "j"}])), &old).to_string(),
            format!("{path} \"a\" may not be changed\n")
        );
    }

    #[test]
    fn ephemeral_containers_compare_by_meaning() {
        let old = pod(json!([{"name": "a", "image": "i"}]));
        let same =
            pod(json!([{"name": "a", "image": "i", "env": [], "resources": {}, "ports": null}]));
        assert!(validate(&same, &old).is_empty());
    }

    #[test]
    fn mirror_pods_take_no_ephemeral_containers() {
        let mut old = pod(json!([]));
        old["metadata"]["annotations"] = json!({MIRROR_ANNOTATION: "x"});
        let new = pod(json!([{"name": "a", "image": "i"}]));
        assert!(validate(&new, &old).to_string().contains("static pods"));
    }
}
