//! Volume attachments.

mod columns;
mod defaults;
mod validation;

use crate::delete::DeletePolicy;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    unconditional_update: false,
    name_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_update,
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
