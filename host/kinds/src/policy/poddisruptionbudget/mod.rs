//! Pod disruption budgets.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::PathSegment,
    unconditional_update: false,
    status: true,
    generation: Generation::Spec,
    validate: validation::validate,
    validate_status_update: validation::validate_status_update,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
