//! `k3s.io/v1alpha1`: kinds by which this server reports on itself; Kubernetes has none of them.

pub(crate) mod plugin;
