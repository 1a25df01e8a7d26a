//! Ingresses, network policies and address bookkeeping.

pub(crate) mod ingress;
pub(crate) mod ingressclass;
pub(crate) mod ipaddress;
pub(crate) mod networkpolicy;
pub(crate) mod servicecidr;
