//! Autoscalers.

pub(crate) mod horizontalpodautoscaler;

use crate::rules::KindRules;

/// Rules of a kind of the group `autoscaling`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "HorizontalPodAutoscaler" => &horizontalpodautoscaler::HorizontalPodAutoscaler,
        _ => return None,
    })
}
