//! What several controllers share: views, ownership, conditions, hashes, numbers.

pub(crate) mod batch;
pub(crate) mod condition;
pub(crate) mod controller_ref;
pub(crate) mod endpoint_slices;
pub(crate) mod failures;
pub(crate) mod hash;
pub(crate) mod history;
pub(crate) mod node;
pub(crate) mod number;
pub(crate) mod pod;
pub(crate) mod pod_control;
pub(crate) mod selector;
pub(crate) mod service;
pub(crate) mod template;
pub(crate) mod time;
pub(crate) mod write;
