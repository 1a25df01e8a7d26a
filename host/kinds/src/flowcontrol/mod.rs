//! Priority and fairness of requests.

mod flowschema;
mod prioritylevelconfiguration;

use crate::rules::KindRules;

/// Rules of a kind of the group `flowcontrol.apiserver.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "FlowSchema" => &flowschema::FlowSchema,
        "PriorityLevelConfiguration" => &prioritylevelconfiguration::PriorityLevelConfiguration,
        _ => return None,
    })
}
