//! What several controllers share: views, ownership, conditions, hashes, numbers.

pub(crate) mod batch;
pub(crate) mod claim;
pub(crate) mod condition;
pub(crate) mod hash;
pub(crate) mod node;
pub(crate) mod number;
pub(crate) mod pod;
pub(crate) mod service;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod write;
