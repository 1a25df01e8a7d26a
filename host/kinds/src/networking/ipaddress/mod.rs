//! IP addresses, one per allocated cluster IP.

mod columns;
mod validation;

use crate::object_meta::NameRule;
use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    name: NameRule::IpAddress,
    name_on_update: true,
    validate: validation::validate,
    validate_update: Some(validation::validate_update),
    columns: columns::COLUMNS,
    cells: columns::cells,
    ..Rules::PLAIN
};
