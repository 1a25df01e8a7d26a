//! Jobs.

mod columns;
pub(crate) mod defaults;
mod failure_policy;
mod indexes;
mod status;
pub(crate) mod strategy;
mod success_policy;
pub(crate) mod validation;

use k3s_meta::quote::quote;

use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name_on_update: true,
    status: true,
    generation: Generation::Spec,
    fields: &[SelectableField::integer(
        "status.successful",
        "status.succeeded",
    )],
    unknown_field: |field| format!("field label {} not supported for Job", quote(field)),
    prepare_create: strategy::prepare_create,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: status::validate_update,
    warnings: validation::warnings,
    update_warnings: Some(validation::update_warnings),
    delete: DeletePolicy::ORPHAN_DEPENDENTS,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
