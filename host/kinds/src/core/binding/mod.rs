//! Bindings of pods to nodes, written once and never stored.

use crate::rules::KindRules;

/// Rules of `v1` `Binding`.
pub(crate) struct Binding;

impl KindRules for Binding {}
