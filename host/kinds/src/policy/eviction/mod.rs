//! Evictions, posted to a pod and never stored.

use crate::rules::KindRules;

/// Rules of `policy/v1` `Eviction`.
pub(crate) struct Eviction;

impl KindRules for Eviction {}
