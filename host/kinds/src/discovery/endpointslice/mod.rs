//! Endpoint slices.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Content(&["addressType", "endpoints", "ports", "metadata.labels"]),
    name_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: validation::warnings,
    update_warnings: Some(|slice, _| validation::update_warnings(slice)),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
