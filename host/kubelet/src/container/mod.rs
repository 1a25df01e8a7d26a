//! From a container's spec to what CRI is asked for. Each aspect is one file; `create.rs` and
//! `sandbox.rs` put them together.

pub(crate) mod context;
pub(crate) mod create;
pub(crate) mod dns;
pub(crate) mod env;
pub(crate) mod error;
pub(crate) mod expand;
pub(crate) mod fields;
pub(crate) mod hosts;
pub(crate) mod mounts;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod sandbox;
pub(crate) mod security;
