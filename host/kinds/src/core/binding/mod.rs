//! Bindings of pods to nodes, written once and never stored.

pub(crate) mod validation;

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules {
    validate: validation::validate,
    ..Rules::PLAIN
};
