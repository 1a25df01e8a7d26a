//! Namespaces.

mod columns;
mod defaults;
mod strategy;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::Label,
    status: true,
    fields: &[
        SelectableField::text("status.phase"),
        SelectableField::first_text("name", &["metadata.name"]),
    ],
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    validate_status_update: validation::validate_status_update,
    subresources: &[strategy::FINALIZE],
    delete: strategy::DELETE,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
