//! Certificate signing requests.

pub(crate) mod certificatesigningrequest;
