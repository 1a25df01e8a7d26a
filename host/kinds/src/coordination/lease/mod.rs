//! Leases.

mod columns;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    create_on_update: true,
    unconditional_update: false,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
