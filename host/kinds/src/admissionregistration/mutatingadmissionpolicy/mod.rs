//! Mutating admission policies.

mod columns;
mod defaults;
mod validation;

use crate::admissionregistration::shared;
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Spec,
    unconditional_update: false,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: shared::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
