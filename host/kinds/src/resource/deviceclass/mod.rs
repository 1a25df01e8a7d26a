//! Device classes.

mod columns;
mod validation;

use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    generation: Generation::Spec,
    validate: validation::validate,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
