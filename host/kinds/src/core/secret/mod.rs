//! Secrets.

mod columns;
mod defaults;
mod strategy;
mod tls;
mod validation;

use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    fields: &[SelectableField::text("type")],
    prepare_update: strategy::prepare_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    warnings: tls::warnings,
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
