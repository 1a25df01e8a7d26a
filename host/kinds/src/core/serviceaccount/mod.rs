//! Service accounts.

mod columns;
mod strategy;
mod validation;

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    prepare_create: |account, _| strategy::clean(account),
    prepare_update: |new, _, _| strategy::clean(new),
    warnings: validation::warnings,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
