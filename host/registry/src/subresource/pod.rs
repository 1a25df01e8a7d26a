//! `pods/NAME/ephemeralcontainers`: containers may be added to a running pod, never changed.

use k3s_kinds::pod_subresource::prepare_ephemeral_containers;
use k3s_meta::{ErrorList, Path, field, tree};
use serde_json::Value;

use crate::{Resource, Scope};

/// The change that `ephemeralcontainers` may make.
pub const EPHEMERAL_CONTAINERS: Scope = Scope::Part {
    subresource: "ephemeralcontainers",
    prepare: prepare_ephemeral_containers,
    validate,
};

fn validate(resource: &Resource, new: &Value, old: &Value) -> ErrorList {
    let mut errors = resource.rules.validate(new);
    let path = Path::new("spec").child("ephemeralContainers");
    let after = tree::list(new, "spec.ephemeralContainers");
    for container in tree::list(old, "spec.ephemeralContainers") {
        let name = tree::text(container, "name");
        match after.iter().find(|other| tree::text(other, "name") == name) {
            None => errors.push(field::forbidden(
                &path,
                format!("existing ephemeral containers {name:?} may not be removed\n"),
            )),
            Some(other) if other != container => {
                errors.push(field::forbidden(
                    &path,
                    format!("existing ephemeral containers {name:?} may not be changed\n"),
                ));
            }
            Some(_) => {}
        }
    }
    errors
}
