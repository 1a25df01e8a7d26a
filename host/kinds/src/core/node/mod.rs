//! Nodes.

mod columns;
mod defaults;
mod features;
mod strategy;
mod validation;

use crate::address_warnings::AddressForm;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    status: true,
    // A kubelet registers with what it knows.
    status_on_create: true,
    fields: &[SelectableField::flag("spec.unschedulable")],
    prepare_create: strategy::prepare_create,
    prepare_update: strategy::prepare_update,
    prepare_status_update: strategy::prepare_status_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: validation::validate_status_update,
    storage_path: Some("minions"),
    warnings: validation::warnings,
    addresses: &[("spec.podCIDRs", AddressForm::Block)],
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
