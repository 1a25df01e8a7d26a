//! Ingress classes.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name_on_update: true,
    generation: Generation::Spec,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
