//! Validation of leases.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

pub(super) fn validate(lease: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    if tree::get(lease, "spec.holderIdentity").is_some_and(|identity| identity == "") {
        errors.push(field::invalid(
            &path.child("holderIdentity"),
            "",
            "must not be empty",
        ));
    }
    if let Some(seconds) =
        tree::int(lease, "spec.leaseDurationSeconds").filter(|seconds| *seconds <= 0)
    {
        errors.push(field::invalid(
            &path.child("leaseDurationSeconds"),
            seconds,
            "must be greater than 0",
        ));
    }
    if let Some(count) = tree::int(lease, "spec.leaseTransitions").filter(|count| *count < 0) {
        errors.push(field::invalid(
            &path.child("leaseTransitions"),
            count,
            crate::object_meta::NOT_NEGATIVE,
        ));
    }
    errors
}
