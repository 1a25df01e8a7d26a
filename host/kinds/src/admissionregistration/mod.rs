//! Webhook configurations and admission policies.

pub(crate) mod mutatingadmissionpolicy;
pub(crate) mod mutatingadmissionpolicybinding;
pub(crate) mod mutatingwebhookconfiguration;
mod shared;
pub(crate) mod validatingadmissionpolicy;
pub(crate) mod validatingadmissionpolicybinding;
pub(crate) mod validatingwebhookconfiguration;
