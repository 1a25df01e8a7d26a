//! Priority and fairness of requests.

pub(crate) mod flowschema;
pub(crate) mod prioritylevelconfiguration;
mod shared;
