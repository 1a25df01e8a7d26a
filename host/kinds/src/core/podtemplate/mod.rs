//! Stored pod templates.

mod columns;
mod defaults;
mod validation;

use crate::core::podspec::warnings;
use crate::delete::DeletePolicy;
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Content(&["template"]),
    validate: validation::validate,
    delete: DeletePolicy::RETURNS_OBJECT,
    warnings: |object| warnings::template(object, "template"),
    update_warnings: Some(|new, old| warnings::changed_template(new, old, "template")),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
