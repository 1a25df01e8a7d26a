//! CSI storage capacities.

mod columns;
mod defaults;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    unconditional_update: false,
    name_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
