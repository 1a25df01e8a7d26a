//! Events in their newer form.

mod event;

use crate::rules::KindRules;

/// Rules of a kind of the group `events.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "Event" => &event::Event,
        _ => return None,
    })
}
