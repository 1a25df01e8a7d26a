//! `pods/NAME/binding` and `bindings`: assigns a pod to a node, once.

use std::sync::Arc;

use k3s_base::clock::rfc3339;
use k3s_kinds::{Subresource, bind_pod, validate_binding};
use k3s_meta::{ErrorList, GroupResource, Status, tree};
use k3s_registry::{Call, Registry, Resource, Result, Scope, Update};
use serde_json::Value;

/// [`bind_pod`] changes nothing that would have to be put back or checked again.
const BINDING: Subresource = Subresource {
    name: "binding",
    prepare: |_, _, _| {},
    validate: Some(|_, _| ErrorList::new()),
    new_generation: false,
};

/// Assigns the pod `name` to the node that `binding` names.
///
/// # Errors
/// 500 for a binding without a node, as upstream knows no status for it. A conflict when the pod is assigned already,
/// is being deleted, or has another UID or version than the binding names.
pub async fn bind(
    registry: &Registry,
    pods: &Arc<Resource>,
    namespace: &str,
    name: &str,
    binding: &Value,
    call: &Call<'_>,
) -> Result<()> {
    let errors = validate_binding(binding);
    if !errors.is_empty() {
        return Err(Status::unclassified(&errors.to_string()).into());
    }
    let update = Update {
        resource: pods,
        namespace,
        name,
        scope: Scope::Subresource(&BINDING),
        create_missing: false,
    };
    let now = rfc3339(registry.clock().now());
    let conflict =
        |text: &str| Status::conflict(&GroupResource::new("", "pods/binding"), name, text);
    let assign = |current: Option<&Value>| {
        let mut pod = current.cloned().unwrap_or_default();
        if let Some(text) = mismatch(binding, &pod) {
            return Err(Status::conflict(&pods.gr(), name, &text).into());
        }
        bind_pod(&mut pod, binding, &now).map_err(|error| conflict(&error.to_string()))?;
        Ok(pod)
    };
    registry.update(&update, call, assign).await.map(drop)
}

/// The text of the conflict where the binding is for an earlier pod of the same name, or an earlier version.
fn mismatch(binding: &Value, pod: &Value) -> Option<String> {
    let parts = [("UID", "uid"), ("ResourceVersion", "resourceVersion")];
    parts.into_iter().find_map(|(shown, name)| {
        let path = format!("metadata.{name}");
        let [wanted, found] = [binding, pod].map(|object| tree::text(object, &path));
        let differs = !wanted.is_empty() && wanted != found;
        differs.then(|| {
            format!(
                "Precondition failed: {shown} in precondition: {wanted}, {shown} in object meta: {found}"
            )
        })
    })
}
