//! The Kubernetes API over the registry: one handler chain for every request and every kind.
//!
//! Chain: what is addressed → panic and time limits → who asks → requests in flight → impersonation
//! → may they → the verb's handler (admission runs inside the registry's write path) → the form of
//! answer the client takes. A cross-cutting rule is a step of this chain and is written once.
//!
//! Invariants: kinds are data, no handler knows one (subresources with behaviour of their own are
//! in `subresources/`, one file each); an identity comes from TLS, a verified token, or the
//! in-process extension that nothing on a wire can set; every failure is a `Status` and becomes a
//! response in exactly one place (`respond::status`).
//!
//! Tasks (child group `apiserver`): the RBAC index, the node graph, custom resource definitions, upgraded pipes and outbound
//! connections to kubelets. Bounds: requests in flight, body size, waiting time; see `inflight`.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod admission;
mod authn;
mod authz;
mod bootstrap;
mod chain;
mod config;
mod context;
mod core;
mod custom;
mod handlers;
mod health;
mod inflight;
mod kubelet;
mod metrics;
mod nonresource;
mod request;
mod respond;
mod reviews;
mod server;
mod store_metrics;
mod subresources;
mod support;

pub use config::{ApiServerConfig, StaticToken, VersionInfo};
pub use health::HealthCheck;
pub use kubelet::{DirectDialer, KubeletDialer, KubeletTarget};
pub use request::info::RequestInfo;
pub use server::{ApiServer, ApiService, StartError};

pub(crate) use k3s_registry::{Error, Result};
