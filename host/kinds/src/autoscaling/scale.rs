//! Scales, which are parts of workloads and never stored. Upstream: `pkg/apis/autoscaling/validation`, `ValidateScale`.

use k3s_meta::field::{ErrorList, Path, invalid};
use k3s_meta::tree;
use serde_json::Value;

use crate::object_meta::{self, NameRule};

/// All errors of a scale. That of a custom resource, which may have no namespace, is only looked at for its number.
#[must_use]
pub fn validate(scale: &Value, is_custom: bool) -> ErrorList {
    let mut errors = if is_custom {
        ErrorList::new()
    } else {
        object_meta::validate_object_meta(scale, true, NameRule::Subdomain)
    };
    let replicas = tree::int(scale, "spec.replicas").unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        errors.push(invalid(
            &path,
            replicas,
            "must be greater than or equal to 0",
        ));
    }
    errors
}
