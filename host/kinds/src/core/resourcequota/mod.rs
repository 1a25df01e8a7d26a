//! Resource quotas.

mod columns;
mod defaults;
pub mod usage;
mod validation;

use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
