//! `k3s.io/v1alpha1`: what this server tells of itself. No kind of Kubernetes.

pub(crate) mod plugin;
