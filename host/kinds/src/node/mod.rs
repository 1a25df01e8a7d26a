//! Runtime classes.

pub(crate) mod runtimeclass;
