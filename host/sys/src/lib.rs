//! The kernel's interfaces, and the only crate with unsafe code: files and mounts, namespaces, control
//! groups, processes, the heap, netlink and nftables. One module per concern; nothing here knows Kubernetes.
//!
//! Calls here block; callers on an async runtime put those that may take long on a blocking thread.

#![allow(unsafe_code)]

pub mod cgroup;
pub mod confined;
pub mod fs;
pub mod heap;
pub mod mount;
pub mod namespace;
pub mod net;
mod netlink;
pub mod nft;
pub mod process;
pub mod volume;
mod walk;
