//! Roles.

mod columns;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    name: NameRule::PathSegment,
    create_on_update: true,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
