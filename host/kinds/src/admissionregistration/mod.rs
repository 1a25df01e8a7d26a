//! Webhook configurations and admission policies.

mod mutatingadmissionpolicy;
mod mutatingadmissionpolicybinding;
mod mutatingwebhookconfiguration;
mod shared;
mod validatingadmissionpolicy;
mod validatingadmissionpolicybinding;
mod validatingwebhookconfiguration;

use crate::rules::KindRules;

/// Rules of a kind of the group `admissionregistration.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "MutatingAdmissionPolicy" => &mutatingadmissionpolicy::MutatingAdmissionPolicy,
        "MutatingAdmissionPolicyBinding" => {
            &mutatingadmissionpolicybinding::MutatingAdmissionPolicyBinding
        }
        "MutatingWebhookConfiguration" => {
            &mutatingwebhookconfiguration::MutatingWebhookConfiguration
        }
        "ValidatingAdmissionPolicy" => &validatingadmissionpolicy::ValidatingAdmissionPolicy,
        "ValidatingAdmissionPolicyBinding" => {
            &validatingadmissionpolicybinding::ValidatingAdmissionPolicyBinding
        }
        "ValidatingWebhookConfiguration" => {
            &validatingwebhookconfiguration::ValidatingWebhookConfiguration
        }
        _ => return None,
    })
}
