//! Service accounts.

mod columns;
mod validation;

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    warnings: validation::warnings,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
