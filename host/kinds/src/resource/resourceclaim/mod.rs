//! Resource claims.

mod columns;
pub(crate) mod defaults;
mod status;
mod strategy;
mod validation;

use crate::delete::DeletePolicy;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    name_on_update: true,
    prepare_status_update: strategy::prepare_status_update,
    validate: validation::validate,
    validate_status_update: status::validate_update,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
