//! Resource slices.

mod columns;
mod validation;

use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    generation: Generation::Spec,
    fields: &[
        SelectableField::text("spec.nodeName"),
        SelectableField::text("spec.driver"),
    ],
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: validation::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
