//! Cron jobs.

mod columns;
mod defaults;
pub mod schedule;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    generation: Generation::Spec,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: validation::warnings,
    update_warnings: Some(validation::update_warnings),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
