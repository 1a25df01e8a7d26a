//! Runtime classes.

mod runtimeclass;

use crate::rules::KindRules;

/// Rules of a kind of the group `node.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "RuntimeClass" => &runtimeclass::RuntimeClass,
        _ => return None,
    })
}
