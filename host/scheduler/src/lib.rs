//! The scheduler: which node a pod runs on.
//!
//! A framework of plugins around a pure cycle ([`cycle`]): a pod and a snapshot of the nodes in, a
//! node or the reasons why none fits out. The driver keeps the snapshot from informers, takes pods
//! from a priority queue, binds through the API (`pods/binding`), and says why a pod waits in its
//! `PodScheduled` condition and in an Event. It speaks to the API only, as `system:kube-scheduler`.
//!
//! Invariants:
//! - a pod is bound at most once per decision: from the decision until the bound pod comes back
//!   through the informer it is *assumed* on its node, so its resources cannot be given twice;
//! - a pod that does not fit waits without polling until something happens that a filter which refused it
//!   waits for ([`framework::Filter::may_help`]), its own object asks for something else, or five minutes
//!   passed;
//! - the status of a waiting pod is written only when its condition differs.
//!
//! Deliberately absent: preemption, storage capacity, dynamic resource allocation, extenders. A pod
//! that asks for resource claims is reported unschedulable instead of being placed without them.
//!
//! Tasks: `cycle` (informers → queue and cache → bindings) and `bind`, one per decided pod.
//! Limits: [`driver::BINDINGS_IN_FLIGHT`] bindings at once, besides pods that wait for their volumes.

mod cache;
pub mod cycle;
pub mod driver;
mod effects;
pub mod error;
pub mod event;
pub mod framework;
pub mod model;
mod namespaces;
pub mod plugins;
mod queue;
mod volumes;

pub use driver::{Scheduler, SchedulerConfig};
