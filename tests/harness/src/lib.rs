//! Test clusters: the real binary, real containers, stock clients, each cluster in a corner of its
//! own (network, mount, process, host-name and cgroup namespaces), so that tests run beside each
//! other and beside a running server, and leave nothing behind even when they fail.
//!
//! A test that needs a cluster says `let cluster = Cluster::start()?;` and talks to it through
//! [`Cluster::kubectl`]. Conditions are polled with a deadline through [`until`], never slept for.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]

mod archive;
mod cluster;
mod corner;
mod database;
mod image;
mod poll;
mod process;
mod quiet;
mod tools;

pub use archive::{Layer, LayerBuilder, LayeredImage, write_archive};
pub use cluster::{Cluster, ClusterOptions};
pub use corner::Corner;
pub use database::{Database, DatabaseKind, PASSWORD};
pub use image::{Image, busybox, http_server, pause};
pub use poll::until;
pub use process::{Background, Output};
pub use tools::{k3s_binary, kubectl_binaries, kubectl_binary};
