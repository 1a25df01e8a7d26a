//! `pods/NAME/binding` and `bindings`: assigns a pod to a node, once.

use std::sync::Arc;

use k3s_kinds::pod_subresource::bind;
use k3s_meta::{ErrorList, GroupKind, GroupResource, Path, Status, field, object, tree};
use serde_json::Value;

use crate::{Call, Registry, Resource, Result, Scope, Update, meta};

const BINDING: Scope = Scope::Part {
    subresource: "binding",
    prepare: |_, _| {},
    validate: |_, _, _| ErrorList::new(),
};

impl Registry {
    /// Assigns the pod `name` to the node that `binding` names.
    ///
    /// # Errors
    /// A conflict when the pod is assigned already, is being deleted, or is not the one meant.
    pub async fn bind(
        &self,
        pods: &Arc<Resource>,
        namespace: &str,
        name: &str,
        binding: &Value,
        call: &Call<'_>,
    ) -> Result<()> {
        let errors = validate(binding);
        if !errors.is_empty() {
            return Err(Status::invalid(&GroupKind::new("", "Binding"), name, &errors).into());
        }
        let update = Update {
            resource: pods,
            namespace,
            name,
            scope: BINDING,
            create_missing: false,
        };
        let now = meta::time(self.clock.now());
        let conflict =
            |text: &str| Status::conflict(&GroupResource::new("", "pods/binding"), name, text);
        self.update(&update, call, |current| {
            let mut pod = current.cloned().unwrap_or_default();
            let wanted = object::uid(binding);
            if !wanted.is_empty() && wanted != object::uid(&pod) {
                let text = format!(
                    "Precondition failed: UID in precondition: {wanted}, UID in object meta: {}",
                    object::uid(&pod)
                );
                return Err(conflict(&text).into());
            }
            bind(&mut pod, binding, &now).map_err(|text| conflict(&text))?;
            Ok(pod)
        })
        .await
        .map(drop)
    }
}

fn validate(binding: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let target = Path::new("target");
    let kind = tree::text(binding, "target.kind");
    if !matches!(kind, "" | "Node") {
        errors.push(field::not_supported(
            &target.child("kind"),
            kind,
            &["Node", "<empty>"],
        ));
    }
    if tree::text(binding, "target.name").is_empty() {
        errors.push(field::required(&target.child("name"), ""));
    }
    errors
}
