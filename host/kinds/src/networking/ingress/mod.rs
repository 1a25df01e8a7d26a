//! Ingresses.

mod columns;
mod defaults;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name_on_update: true,
    status: true,
    generation: Generation::Spec,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    warnings: validation::warnings,
    update_warnings: Some(|_, _| Vec::new()),
    storage_path: Some("ingress"),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
