//! Storage classes.

mod columns;
mod defaults;
mod validation;

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: validation::warnings,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
