//! CSI drivers.

mod columns;
mod defaults;
mod validation;

use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::SpecOfUpdates,
    unconditional_update: false,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    update_warnings: Some(validation::update_warnings),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
