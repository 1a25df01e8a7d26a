//! Cluster role bindings.

mod columns;
mod defaults;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::PathSegment,
    create_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
