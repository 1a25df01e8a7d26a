//! Device classes.

mod columns;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    generation: Generation::Spec,
    validate: validation::validate,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
