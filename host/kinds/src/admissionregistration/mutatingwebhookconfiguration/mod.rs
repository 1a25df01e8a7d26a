//! Mutating webhook configurations.

mod columns;
mod defaults;

use crate::admissionregistration::{shared, webhook};
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Content(&["webhooks"]),
    unconditional_update: false,
    validate: webhook::validate,
    validate_update: Some(webhook::validate_update),
    warnings: shared::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
