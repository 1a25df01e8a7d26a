//! Validating admission policies.

mod columns;
mod defaults;
mod validation;

use crate::admissionregistration::shared;
use crate::generation::Generation;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    generation: Generation::Spec,
    unconditional_update: false,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    warnings: shared::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
