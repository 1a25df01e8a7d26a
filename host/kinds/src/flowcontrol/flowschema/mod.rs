//! Flow schemas.

mod columns;
mod defaults;
mod validation;

use crate::flowcontrol::shared;
use crate::generation::Generation;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    generation: Generation::Spec,
    name_on_update: true,
    validate: validation::validate,
    validate_status_update: shared::validate_status_update,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
