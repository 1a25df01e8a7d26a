//! Limit ranges.

mod columns;
mod defaults;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    create_on_update: true,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
