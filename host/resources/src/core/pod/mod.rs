//! Subresources of pods that change more than the pod, or ask more than the pod.

pub mod binding;
pub mod eviction;
