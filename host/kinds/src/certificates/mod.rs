//! Certificate signing requests.

pub(crate) mod certificatesigningrequest;
pub(crate) mod signer;
