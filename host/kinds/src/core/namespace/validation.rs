//! Validation of the phase of a namespace.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

pub(super) fn validate_status_update(new: &Value, _old: &Value) -> ErrorList {
    let path = Path::new("status.Phase");
    let phase = tree::text(new, "status.phase");
    let deleted = tree::has(new, "metadata.deletionTimestamp");
    match (deleted, phase) {
        (false, phase) if phase != "Active" => field::invalid(
            &path,
            phase,
            "may only be 'Active' if `deletionTimestamp` is empty",
        )
        .into(),
        (true, phase) if phase != "Terminating" => field::invalid(
            &path,
            phase,
            "may only be 'Terminating' if `deletionTimestamp` is not empty",
        )
        .into(),
        _ => ErrorList::new(),
    }
}
