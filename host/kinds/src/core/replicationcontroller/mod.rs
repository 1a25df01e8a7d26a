//! Replication controllers.

mod columns;
mod defaults;
mod validation;

use crate::core::podspec::warnings;
use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    generation: Generation::Spec,
    fields: &[SelectableField::integer(
        "status.replicas",
        "status.replicas",
    )],
    validate: validation::validate,
    warnings: |object| warnings::named_template(object, "spec.template"),
    update_warnings: Some(|new, old| warnings::changed_template(new, old, "spec.template")),
    validate_status_update: validation::validate_status_update,
    storage_path: Some("controllers"),
    delete: DeletePolicy::ORPHAN_DEPENDENTS,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
