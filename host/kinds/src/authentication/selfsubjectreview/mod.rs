//! Self subject reviews, answered and never stored.

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules::PLAIN;
