//! Events in their newer form.

mod columns;
mod convert;
mod validation;

use crate::core::event;
use crate::delete::DeletePolicy;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    create_on_update: true,
    fields: event::fields::FIELDS,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    conversions: &[convert::V1],
    ttl: Some(event::TTL),
    delete: DeletePolicy::NO_DEPENDENTS,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
