//! Startup, liveness and readiness probes (`pkg/kubelet/prober`): one task per probed container
//! while it runs, which reports changes to the pod's worker.

pub(crate) mod dial;
mod grpc;
pub(crate) mod http;
mod outcome;
pub(crate) mod prober;
pub(crate) mod probers;
