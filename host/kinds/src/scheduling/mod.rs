//! Priority classes.

mod priorityclass;

use crate::rules::KindRules;

/// Rules of a kind of the group `scheduling.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "PriorityClass" => &priorityclass::PriorityClass,
        _ => return None,
    })
}
