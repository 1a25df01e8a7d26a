//! Subject access reviews within one namespace, answered and never stored.

mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    validate: validation::validate,
    ..Rules::PLAIN
};
