//! A pod's life on the node. `plan.rs`, `status.rs`, `conditions.rs`, `qos.rs`, `admit.rs` and
//! `backoff.rs` decide and do no I/O; `worker.rs` drives one pod with `start.rs` and `stop.rs`;
//! `manager.rs` keeps the set of workers; `writer.rs` tells the API.

pub(crate) mod admit;
pub(crate) mod backoff;
mod conditions;
pub(crate) mod manager;
mod message;
pub(crate) mod model;
pub(crate) mod plan;
pub(crate) mod qos;
mod start;
mod static_pods;
pub(crate) mod status;
mod stop;
pub(crate) mod table;
mod worker;
mod writer;
