//! Services.

mod balancers;
pub(crate) mod cluster_validation;
mod columns;
mod defaults;
mod port_validation;
mod transition;
mod validation;

use crate::address_warnings::AddressForm;
use crate::delete::DeletePolicy;
use crate::object_meta::NameRule;
use crate::rules::Rules;
use crate::selectable::SelectableField;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    name: NameRule::Label,
    status: true,
    create_on_update: true,
    fields: &[
        SelectableField::text("spec.clusterIP"),
        SelectableField::text("spec.type"),
    ],
    prepare_update: transition::prepare_update,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    validate_status_update: balancers::validate_status_update,
    warnings: validation::warnings,
    addresses: &[
        ("spec.clusterIPs", AddressForm::Address),
        ("spec.externalIPs", AddressForm::Address),
        ("spec.loadBalancerIP", AddressForm::Address),
        ("spec.loadBalancerSourceRanges", AddressForm::Block),
    ],
    storage_path: Some("services/specs"),
    delete: DeletePolicy::RETURNS_OBJECT,
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
