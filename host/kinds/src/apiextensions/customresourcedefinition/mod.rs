//! Custom resource definitions.

mod columns;
mod defaults;
mod delete;
mod names;
mod strategy;
mod validation;
mod versions;
mod warnings;

use k3s_meta::field::ErrorList;
use serde_json::Value;

use crate::generation::Generation;
use crate::generic::RESET_METADATA;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    status_keeps: RESET_METADATA,
    generation: Generation::Spec,
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    unconditional_update: false,
    warnings: warnings::of_new,
    update_warnings: Some(warnings::of_update),
    storage_path: Some("apiextensions.k8s.io/customresourcedefinitions"),
    delete: delete::POLICY,
    columns: columns::COLUMNS,
    cells: columns::cells,
    any_finalizer: true,
    ..Rules::PLAIN
};

/// What the schemas of a definition are refused for.
#[must_use]
pub fn definition_schema_errors(definition: &Value) -> ErrorList {
    versions::schemas(definition)
}

/// Whether a group belongs to the Kubernetes project, so that its kinds need an approval.
#[must_use]
pub fn is_protected_group(group: &str) -> bool {
    validation::is_protected(group)
}
