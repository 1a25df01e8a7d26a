//! Leases.

mod columns;
mod strategy;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    create_on_update: true,
    unconditional_update: false,
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
