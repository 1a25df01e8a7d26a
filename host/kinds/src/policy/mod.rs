//! Disruption budgets and evictions.

pub(crate) mod eviction;
pub(crate) mod poddisruptionbudget;
