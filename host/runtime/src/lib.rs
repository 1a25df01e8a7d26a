//! The embedded container runtime: CRI v1 on a Unix socket, images from registries and archives,
//! one shim process per pod.
//!
//! ```text
//! CRI client --gRPC--> service --> pod (sandboxes, containers) --socket--> shim --> libcontainer
//!                         |                                                  |
//!                         +--> image (pull, import, unpack)                  +--> logs, exit codes
//!                         +--> streaming (exec, attach over WebSocket)
//! ```
//!
//! Invariants: a pod does not notice when this process ends, however it ends; what a shim reports is
//! the only source of a container's state; a layer appears under its name only when it is complete
//! and verified; what the runtime cannot honour and would weaken a pod it refuses ([`spec`]'s
//! `refuse`).
//!
//! Tasks: the CRI server, the streaming server, one reader per living shim, one watcher of the
//! images folder, and one per streaming session.
//!
//! Limits: no user namespaces, SELinux or AppArmor; no port forwarding, checkpoints or CDI devices;
//! mounts with private propagation still receive mounts made later on the host below their source;
//! image volumes live in the container's writable layer.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod cleanup;
mod config;
mod error;
mod image;
mod network;
mod pod;
mod runtime;
mod service;
mod shim;
mod spec;
mod streaming;

pub use cleanup::kill_everything;
pub use config::RuntimeConfig;
pub use image::artifact::{ArtifactError, ArtifactSource, fetch_artifact};
pub use network::{
    Bandwidth, NetworkError, NoNetwork, PodIps, PodNetwork, PortMapping, Protocol, SandboxNetwork,
};
pub use runtime::{Runtime, StartError};
pub use shim::{is_shim_invocation, shim_main};
