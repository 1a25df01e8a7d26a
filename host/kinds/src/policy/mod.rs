//! Disruption budgets and evictions.

mod eviction;
mod poddisruptionbudget;

use crate::rules::KindRules;

/// Rules of a kind of the group `policy`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "Eviction" => &eviction::Eviction,
        "PodDisruptionBudget" => &poddisruptionbudget::PodDisruptionBudget,
        _ => return None,
    })
}
