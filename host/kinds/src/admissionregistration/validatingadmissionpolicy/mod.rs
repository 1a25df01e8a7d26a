//! Validating admission policies.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    generation: Generation::Spec,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
