//! Eviction: when memory, disk, inodes or process ids run short, unused images are removed first,
//! then pods are evicted, one at a time (`pkg/kubelet/eviction`).
//!
//! A threshold that is met becomes one of the node's pressure conditions. These stay for the
//! transition period after the last shortage, so that a node does not flap; the node lifecycle
//! controller turns them into taints.

mod limits;
pub(crate) mod manager;
mod message;
mod plan;
pub(crate) mod settings;
mod signals;
pub(crate) mod usage;
