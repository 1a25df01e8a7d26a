//! Evictions, posted to a pod and never stored.

use crate::rules::Rules;

pub(crate) const RULES: Rules = Rules::PLAIN;
