//! CRI v1: the only interface between the node agent and a container runtime, embedded or foreign.
//!
//! The messages come from the upstream protobuf definitions; this crate adds the two things that a
//! Unix socket needs: a client that connects to one, and a server side that accepts the
//! `:authority` values which Go clients derive from socket paths.

mod authority;
mod client;
mod server;

/// The messages, clients and servers of `runtime.v1`
/// (kubernetes/cri-api, `pkg/apis/runtime/v1/api.proto`).
pub use k8s_cri::v1;
/// The error type of every call.
pub use tonic::{Code, Status};

pub use client::{ConnectError, ImageClient, RuntimeClient, connect};
pub use server::{Incoming, UnixConnection, bind};

/// The largest message either side accepts: what the kubelet allows (16 MiB,
/// `pkg/kubelet/cri/remote/utils.go`).
pub const MESSAGE_LIMIT_BYTES: usize = 16 << 20;
