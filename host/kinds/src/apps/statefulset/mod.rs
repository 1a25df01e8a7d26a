//! Stateful sets.

mod columns;
mod defaults;
mod strategy;
mod validation;

use crate::generation::Generation;
use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::Label,
    status: true,
    generation: Generation::Spec,
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    warnings: validation::warnings,
    update_warnings: Some(validation::update_warnings),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
