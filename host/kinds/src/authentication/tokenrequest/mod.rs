//! Token requests, the body of `serviceaccounts/token`.

mod defaults;
mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    defaults: defaults::default,
    validate: validation::validate,
    ..Rules::PLAIN
};
