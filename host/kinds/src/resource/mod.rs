//! Dynamic resource allocation.

mod configuration;
pub(crate) mod deviceclass;
mod devices;
mod names;
mod request_names;
pub(crate) mod resourceclaim;
pub(crate) mod resourceclaimtemplate;
pub(crate) mod resourceslice;
mod sets;
mod taints;
