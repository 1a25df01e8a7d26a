//! API services.

mod columns;
mod defaults;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    storage_path: Some("apiregistration.k8s.io/apiservices"),
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
