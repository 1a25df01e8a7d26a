//! Mutating admission policies.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Spec,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
