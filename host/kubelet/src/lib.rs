//! The node agent: registers the node, runs its pods through CRI v1, reports their state, serves
//! logs, exec and statistics on 10250.
//!
//! It speaks to the API with the node's own identity and to the runtime over its socket only, also
//! to the embedded one, so either can be replaced.
//!
//! Invariants: only a pod's own worker task touches its containers; a pod's object is deleted only
//! after everything of it is removed from the node; stopping this process stops no pod.
//!
//! Tasks: node status, node lease, pod manager, runtime events, eviction, log rotation, image collection, the
//! HTTPS server, and per pod a worker and its probers.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod api;
mod cgroup;
mod config;
mod container;
mod cri;
mod error;
mod events;
mod eviction;
mod hook;
mod image;
mod kubelet;
mod labels;
mod logs;
mod model;
mod node;
mod pod;
mod probe;
mod qos;
mod server;
mod volume;

pub use config::KubeletConfig;
pub use error::{KubeletError, RuntimeError, TlsError};
pub use eviction::settings::{EvictionSettings, EvictionSettingsError};
pub use kubelet::Kubelet;
