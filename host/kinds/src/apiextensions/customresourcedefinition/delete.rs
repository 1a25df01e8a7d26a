//! A definition is removed only after its objects: a finalizer that the API server works off itself
//! (`apiextensions-apiserver/pkg/registry/customresourcedefinition/etcd.go`).

use k3s_meta::tree;
use serde_json::{Value, json};

use crate::context::Context;
use crate::delete::DeletePolicy;

/// Holds a definition until its objects are deleted.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

pub(super) const POLICY: DeletePolicy = DeletePolicy {
    begin: begin_cleanup,
    generic_marks: false,
    ..DeletePolicy::PLAIN
};

fn begin_cleanup(definition: &mut Value, context: &Context<'_>) {
    if !tree::texts(definition, "metadata.finalizers").contains(&CLEANUP) {
        let mut finalizers = tree::list(definition, "metadata.finalizers").to_vec();
        finalizers.push(CLEANUP.into());
        tree::set(definition, "metadata.finalizers", finalizers);
    }
    let mut conditions = tree::list(definition, "status.conditions").to_vec();
    conditions.retain(|condition| tree::text(condition, "type") != "Terminating");
    conditions.push(json!({
        "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        "lastTransitionTime": context.time_stamp(),
    }));
    tree::set(definition, "status.conditions", conditions);
}
