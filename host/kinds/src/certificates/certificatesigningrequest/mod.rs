//! Certificate signing requests.

mod columns;
mod defaults;
mod strategy;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::PathSegment,
    status: true,
    fields: &[SelectableField::text("spec.signerName")],
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    prepare_status_update: strategy::prepare_status_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    subresources: &[strategy::APPROVAL],
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
