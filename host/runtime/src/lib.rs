//! The embedded container runtime: CRI v1 on a Unix socket.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

mod image;
mod shim;

pub use shim::{is_shim_invocation, shim_main};
