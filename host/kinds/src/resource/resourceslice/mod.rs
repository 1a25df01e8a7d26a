//! Resource slices.

mod capacity;
mod columns;
mod defaults;
mod device;
mod strategy;
mod validation;

use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Spec,
    fields: &[
        SelectableField::text("spec.nodeName"),
        SelectableField::text("spec.driver"),
    ],
    unknown_field: |field| {
        format!("field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: {field}")
    },
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
