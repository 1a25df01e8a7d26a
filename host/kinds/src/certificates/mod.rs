//! Certificate signing requests.

pub(crate) mod certificatesigningrequest;
mod request;
pub(crate) mod signer;
