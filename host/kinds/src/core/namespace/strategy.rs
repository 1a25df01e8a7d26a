//! The life of a namespace: it is held by finalizers in its spec until its content is deleted
//! (`pkg/registry/core/namespace`).

use k3s_meta::tree;
use serde_json::{Value, json};

use super::validation;
use crate::context::Context;
use crate::delete::DeletePolicy;
use crate::subresource::Subresource;

/// The finalizer that the namespace controller removes once nothing is left inside.
const KUBERNETES: &str = "kubernetes";

/// `/finalize`: the only way to change `spec.finalizers`.
pub(super) const FINALIZE: Subresource = Subresource {
    name: "finalize",
    prepare: prepare_finalize,
    validate: Some(validation::validate_finalize),
    new_generation: true,
};

/// A namespace that is deleted becomes `Terminating` and stays until its controller has emptied
/// `spec.finalizers`.
pub(super) const DELETE: DeletePolicy = DeletePolicy {
    begin: |namespace, _| tree::set(namespace, "status.phase", "Terminating"),
    generic_marks: false,
    held_by_spec: Some(|namespace| tree::has(namespace, "spec.finalizers")),
    ..DeletePolicy::RETURNS_OBJECT
};

pub(super) fn prepare_create(namespace: &mut Value, _: &Context<'_>) {
    tree::set(namespace, "status", json!({"phase": "Active"}));
    if !tree::texts(namespace, "spec.finalizers").contains(&KUBERNETES) {
        let mut finalizers = tree::list(namespace, "spec.finalizers").to_vec();
        finalizers.push(KUBERNETES.into());
        tree::set(namespace, "spec.finalizers", finalizers);
    }
}

pub(super) fn prepare_update(new: &mut Value, old: &Value, _: &Context<'_>) {
    tree::copy(new, old, "spec.finalizers");
}

fn prepare_finalize(new: &mut Value, old: &Value, _: &Context<'_>) {
    let finalizers = tree::list(new, "spec.finalizers").to_vec();
    tree::copy(new, old, "status");
    tree::copy(new, old, "spec");
    if finalizers.is_empty() {
        tree::remove(new, "spec.finalizers");
    } else {
        tree::set(new, "spec.finalizers", finalizers);
    }
}

#[cfg(test)]
mod tests {
    use k3s_meta::UserInfo;

    use super::*;

    fn namespace(finalizers: Value) -> Value {
        json!({"metadata": {"name": "n", "resourceVersion": "1"}, "spec": {"finalizers": finalizers},
            "status": {"phase": "Active"}})
    }

    #[test]
    fn finalize_changes_finalizers_alone() {
        let old = namespace(json!(["kubernetes"]));
        let mut new = namespace(json!([]));
        new["status"] = json!({"phase": "Terminating"});
        new["spec"]["other"] = json!(1);
        let user = UserInfo::default();
        let context = Context::at_epoch(&user);
        prepare_finalize(&mut new, &old, &context);
        assert_eq!(new["spec"], json!({}));
        assert_eq!(new["status"], json!({"phase": "Active"}));
    }

    #[test]
    fn finalizers_have_standard_or_qualified_names() {
        let old = namespace(json!(["kubernetes"]));
        let new = namespace(json!(["kubernetes", "example.com/x", "own"]));
        assert_eq!(
            validation::validate_finalize(&new, &old).to_string(),
            "spec.finalizers[2]: Invalid value: \"own\": name is neither a standard finalizer name nor is it fully qualified"
        );
    }
}
