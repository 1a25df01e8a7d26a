//! Network policies.

mod columns;
mod defaults;
mod validation;

use crate::address_warnings::AddressForm;
use crate::generation::Generation;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    generation: Generation::Spec,
    validate: validation::validate,
    addresses: &[
        ("spec.ingress.from.ipBlock.cidr", AddressForm::Block),
        ("spec.ingress.from.ipBlock.except", AddressForm::Block),
        ("spec.egress.to.ipBlock.cidr", AddressForm::Block),
        ("spec.egress.to.ipBlock.except", AddressForm::Block),
    ],
    validate_update: Some(validation::validate_update),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
