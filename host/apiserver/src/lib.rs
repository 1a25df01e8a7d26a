//! The Kubernetes API over the registry: one handler chain for every request and every kind.
//!
//! Chain: request info → panic and time limits → authentication → impersonation → authorization → the
//! body → requests in flight → the verb's handler (admission runs inside the registry's write path) → the form
//! of answer that the client takes. A cross-cutting rule is a step of this chain and is written once.
//!
//! Invariants: kinds are data, no handler knows one (subresources with behaviour of their own are
//! in `subresources/`, one file each); an identity comes from TLS, a verified token, or the
//! in-process extension that nothing on a wire can set; every failure is a `Status`, which exactly one
//! module renders (`respond::status`); admission parses no stored object per request, but asks
//! mirrors of the cluster state (`admission::listers`).
//!
//! Tasks (child group `apiserver`): the mirrors of RBAC policy, of pods by node and of the kinds that
//! admission asks about, custom resource definitions, upgraded pipes and outbound connections to kubelets. Bounds: requests in flight, body size, waiting time; see `inflight`.
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
mod api_services;
mod authn;
mod authz;
mod bootstrap;
mod chain;
mod config;
mod context;
mod core;
mod custom;
mod documents;
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
