//! Autoscalers.

pub(crate) mod horizontalpodautoscaler;
pub(crate) mod scale;
