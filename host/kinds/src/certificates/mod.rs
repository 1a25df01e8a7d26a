//! Certificate signing requests.

pub(crate) mod certificatesigningrequest;

use crate::rules::KindRules;

/// Rules of a kind of the group `certificates.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "CertificateSigningRequest" => &certificatesigningrequest::CertificateSigningRequest,
        _ => return None,
    })
}
