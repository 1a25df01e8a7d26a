//! Leases.

mod lease;

use crate::rules::KindRules;

/// Rules of a kind of the group `coordination.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "Lease" => &lease::Lease,
        _ => return None,
    })
}
