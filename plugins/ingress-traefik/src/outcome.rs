//! Warnings that are collected while an outcome is built.

use crate::wit::Outcome;

/// What is served in another way than its author may expect.
pub(crate) type Warnings = Vec<String>;

/// Reports several warnings for one reason.
pub(crate) fn warn_all(outcome: &mut Outcome, reason: &str, warnings: Warnings) {
    for warning in warnings {
        outcome.warn(reason, warning);
    }
}
