//! `k3s.io/v1alpha1`: what this server tells of itself. No kind of Kubernetes.

mod plugin;

use crate::rules::KindRules;

/// Rules by kind.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    match kind {
        "Plugin" => Some(&plugin::Plugin),
        _ => None,
    }
}
