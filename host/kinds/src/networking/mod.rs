//! Ingresses, network policies and address bookkeeping.

mod ingress;
mod ingressclass;
mod ipaddress;
mod networkpolicy;
mod servicecidr;

use crate::rules::KindRules;

/// Rules of a kind of the group `networking.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "IPAddress" => &ipaddress::IPAddress,
        "Ingress" => &ingress::Ingress,
        "IngressClass" => &ingressclass::IngressClass,
        "NetworkPolicy" => &networkpolicy::NetworkPolicy,
        "ServiceCIDR" => &servicecidr::ServiceCIDR,
        _ => return None,
    })
}
