//! Config maps.

mod columns;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
