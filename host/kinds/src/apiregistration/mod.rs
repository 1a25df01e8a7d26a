//! API services.

pub(crate) mod apiservice;
