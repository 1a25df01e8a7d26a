//! Deployments.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: &["labels"],
    generation: Generation::Content(&["spec", "metadata.annotations"]),
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    warnings: validation::warnings,
    update_warnings: Some(validation::update_warnings),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
