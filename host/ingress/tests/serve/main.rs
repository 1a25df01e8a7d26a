//! The data plane over loopback sockets: protocols, TLS, endpoints, layers, swaps and stopping.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod client;
mod hostile;
mod http;
mod lab;
mod layers;
mod limits;
mod swap;
mod tls;
