//! Endpoints, the older form of endpoint slices.

mod columns;
mod defaults;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    create_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    storage_path: Some("services/endpoints"),
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
