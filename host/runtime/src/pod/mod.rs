//! Sandboxes and containers: what is recorded of them, and the calls that change them.

mod adopt;
pub(crate) mod container;
mod create;
pub(crate) mod events;
mod follow;
pub(crate) mod manager;
pub(crate) mod record;
mod sandbox;
mod shim_client;
pub(crate) mod stats;
mod stop;
mod zygote_client;

pub(crate) use shim_client::{Frame, FrameWriter, ShimClient, ShimStream};
