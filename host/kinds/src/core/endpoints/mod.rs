//! Endpoints, the older form of endpoint slices.

mod columns;
mod defaults;
mod validation;

use crate::address_warnings::AddressForm;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    create_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    addresses: &[
        ("subsets.addresses.ip", AddressForm::Address),
        ("subsets.notReadyAddresses.ip", AddressForm::Address),
    ],
    storage_path: Some("services/endpoints"),
    columns: columns::COLUMNS,
    cells: columns::cells,
    name_on_update: true,
    ..Rules::PLAIN
};
