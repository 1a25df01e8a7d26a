//! Priority classes.

pub(crate) mod priorityclass;
