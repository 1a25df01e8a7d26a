//! API services.

mod columns;
mod defaults;
mod strategy;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    // Validation says more: the core group's `v1.` is no subdomain.
    name: NameRule::PathSegment,
    status: true,
    unconditional_update: false,
    prepare_create: strategy::prepare_create,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    storage_path: Some("apiregistration.k8s.io/apiservices"),
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};
