//! The runtime through its CRI socket, with real containers. Needs root and busybox-static.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures
)]

mod adoption;
mod harness;
mod images;
mod lifecycle;
mod security;
mod streaming;
