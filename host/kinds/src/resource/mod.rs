//! Dynamic resource allocation.

pub(crate) mod deviceclass;
pub(crate) mod resourceclaim;
pub(crate) mod resourceclaimtemplate;
pub(crate) mod resourceslice;
