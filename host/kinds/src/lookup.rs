//! From group and kind to rules.

use crate::rules::{KindRules, Plain};
use crate::{
    admissionregistration, apiextensions, apiregistration, apps, authentication, authorization,
    autoscaling, batch, certificates, coordination, core, discovery, events, flowcontrol, k3s,
    networking, node, policy, rbac, resource, scheduling, storage,
};

/// The rules of a kind. Kinds without a folder, custom resources among them, get the plain ones:
/// object metadata is validated, the table has name and age.
#[must_use]
pub fn rules(group: &str, kind: &str) -> &'static dyn KindRules {
    let found = match group {
        "" => core::rules(kind),
        "admissionregistration.k8s.io" => admissionregistration::rules(kind),
        "apiextensions.k8s.io" => apiextensions::rules(kind),
        "apiregistration.k8s.io" => apiregistration::rules(kind),
        "apps" => apps::rules(kind),
        "authentication.k8s.io" => authentication::rules(kind),
        "authorization.k8s.io" => authorization::rules(kind),
        "autoscaling" => autoscaling::rules(kind),
        "batch" => batch::rules(kind),
        "certificates.k8s.io" => certificates::rules(kind),
        "coordination.k8s.io" => coordination::rules(kind),
        "discovery.k8s.io" => discovery::rules(kind),
        "events.k8s.io" => events::rules(kind),
        "flowcontrol.apiserver.k8s.io" => flowcontrol::rules(kind),
        "k3s.io" => k3s::rules(kind),
        "networking.k8s.io" => networking::rules(kind),
        "node.k8s.io" => node::rules(kind),
        "policy" => policy::rules(kind),
        "rbac.authorization.k8s.io" => rbac::rules(kind),
        "resource.k8s.io" => resource::rules(kind),
        "scheduling.k8s.io" => scheduling::rules(kind),
        "storage.k8s.io" => storage::rules(kind),
        _ => None,
    };
    found.unwrap_or(&Plain)
}
