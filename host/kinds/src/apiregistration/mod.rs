//! API services.

mod apiservice;

use crate::rules::KindRules;

/// Rules of a kind of the group `apiregistration.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "APIService" => &apiservice::APIService,
        _ => return None,
    })
}
