//! The embedded container runtime: CRI v1 on a Unix socket, images from registries and archives,
//! one shim process per pod.
//!
//! ```text
//! CRI client --gRPC--> service --> pod (sandboxes, containers) --socket--> shim --> libcontainer
//!                         |                                                  |
//!                         +--> image (pull, import) --> unpack (a process)   +--> logs, exit codes
//!                         +--> streaming (exec, attach over WebSocket)
//! ```
//!
//! Invariants: the end of this process, of whatever kind, does not affect a pod; what a shim reports is
//! the only source of a container's state; a layer appears under its name only when it is complete
//! and verified; a setting that the runtime cannot honour, and without which a pod would be weaker,
//! is refused (`spec`'s `refuse`).
//!
//! Tasks: the CRI server, the streaming server, one reader per living shim, one watcher of the
//! images folder, one per layer that is unpacked, and one per streaming session.
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

mod child;
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

pub use child::{child_main, is_child_invocation};
pub use cleanup::kill_everything;
pub use config::RuntimeConfig;
pub use image::artifact::{ArtifactError, ArtifactSource, fetch_artifact};
pub use image::reference::{InvalidReference, Reference};
pub use image::{count_images, unpack_layer};
pub use network::{
    Bandwidth, NetworkError, NoNetwork, PodIps, PodNetwork, PortMapping, Protocol, SandboxNetwork,
};
pub use runtime::{Runtime, StartError};
pub use streaming::channel::{Input as ChannelInput, Protocol as ChannelProtocol};
