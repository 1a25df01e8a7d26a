//! Horizontal pod autoscalers, versions 1 and 2.

mod columns;
mod convert;
mod defaults;
mod metrics;
mod older;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    conversions: &[convert::V1],
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
