//! Pods.

pub(crate) mod binding;
mod columns;
mod defaults;
mod delete;
pub(crate) mod diff;
mod fields;
mod gated;
mod resize;
pub(crate) mod resources;
mod status_text;
mod status_validation;
mod strategy;
mod subresource;
mod update_validation;
mod validation;

use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    // Old kubelets wrote back owner references that they did not understand.
    status_keeps: &["ownerReferences", "deletionTimestamp"],
    generation: Generation::Spec,
    fields: fields::FIELDS,
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    prepare_status_update: strategy::prepare_status_update,
    validate: validation::validate,
    validate_update: Some(update_validation::validate),
    validate_status_update: status_validation::validate,
    warnings: validation::warnings,
    // People hardly change pods, and controllers do so often.
    update_warnings: Some(|_, _| Vec::new()),
    subresources: &[subresource::EPHEMERAL_CONTAINERS, resize::RESIZE],
    delete: delete::POLICY,
    columns: columns::COLUMNS,
    cells: columns::cells,
    row_conditions: columns::row_conditions,
    name_on_update: true,
    ..Rules::PLAIN
};
