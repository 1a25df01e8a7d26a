//! Resources of the core group.

pub mod pod;
pub mod service;
